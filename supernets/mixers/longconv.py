"""Simple long convolutions: kernels of free taps, squashed or smoothed.

Source: Fu et al., Simple Hardware-Efficient Long Convolutions for Sequence Modeling (2023);
declaration and departures in search_spaces/operators/longconv.py.
"""

from typing import ClassVar, final

from torch import nn

from search_spaces import Signature
from search_spaces.operators.longconv import SIDES
from supernets._elastic import KERNEL, AbstractUnpruned, Axes, Index
from supernets._long_convolution import FreeTaps
from supernets.mixers._axial import PlainAxial, axial_axes
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class PlainLongConv(PlainAxial):
    """Long convolutions of columns and of rows on a channels-last map."""

    def __init__(self, signature: Signature) -> None:
        width, pick = signature.shape.width, signature.pick
        taps, regulariser = map(pick.number, SIDES), pick.text("regulariser")
        super().__init__(signature, lambda side: FreeTaps(width, next(taps), regulariser))


@final
@MIXERS.register
class ElasticLongConv(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width; a smaller map has the centres of a larger one's kernels."""

    has_shortcut: ClassVar[bool] = False
    plain: ClassVar[type[nn.Module]] = PlainLongConv
    axes: ClassVar[Axes] = axial_axes(
        lambda axis: {"taps.weight": ("width", f"{KERNEL}_{axis}_taps")}
    )

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels, the centres of the kernels."""
        taps = {f"{KERNEL}_{name}": signature.pick.number(name) for name in SIDES}
        return {"width": signature.shape.width, **taps}
