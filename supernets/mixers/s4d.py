"""S4 with a diagonal state matrix, as a long convolution.

Source: Gu et al., Efficiently Modeling Long Sequences with Structured State Spaces (2022);
declaration and departures in search_spaces/operators/s4d.py.
"""

from typing import ClassVar, final

from torch import nn

from search_spaces import Signature
from supernets._elastic import AbstractUnpruned, Axes, Index
from supernets._long_convolution import StateSpaceTaps
from supernets.mixers._axial import PlainAxial, axial_axes
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class PlainS4D(PlainAxial):
    """Long convolutions of columns and of rows on a channels-last map."""

    def __init__(self, signature: Signature) -> None:
        width, modes = signature.shape.width, signature.pick.number("num_modes")
        super().__init__(signature, lambda side: StateSpaceTaps(width, side, modes))


@final
@MIXERS.register
class ElasticS4D(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width and number of modes; maps of all sizes share them."""

    has_shortcut: ClassVar[bool] = False
    plain: ClassVar[type[nn.Module]] = PlainS4D
    axes: ClassVar[Axes] = axial_axes(
        lambda _: {
            "taps.log_step": ("width",),
            "taps.log_decay": ("width", "modes"),
            "taps.frequency": ("width", "modes"),
            "taps.coefficients": ("width", None, "modes", None),
            "taps.skip": ("width",),
        }
    )

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels and modes, which are those of the lowest frequencies."""
        modes = signature.pick.number("num_modes")
        return {"width": signature.shape.width, "modes": modes}
