"""SGConv: long kernels of stretched pieces.

Source: Li et al., What Makes Convolutional Models Great on Long Sequence Modeling? (2022);
declaration and departures in search_spaces/operators/sgconv.py.
"""

from typing import ClassVar, final

from torch import nn

from search_spaces import Signature
from search_spaces.operators.sgconv import SIDES
from supernets._elastic import AbstractUnpruned, Axes, Index
from supernets._long_convolution import StretchedPieces
from supernets.mixers._axial import PlainAxial, axial_axes
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class PlainSGConv(PlainAxial):
    """Long convolutions of columns and of rows on a channels-last map."""

    def __init__(self, signature: Signature) -> None:
        width, pieces = signature.shape.width, map(signature.pick.number, SIDES)
        super().__init__(signature, lambda side: StretchedPieces(width, side, next(pieces)))


@final
@MIXERS.register
class ElasticSGConv(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width; a smaller map has the first pieces of a larger one."""

    has_shortcut: ClassVar[bool] = False
    plain: ClassVar[type[nn.Module]] = PlainSGConv
    axes: ClassVar[Axes] = axial_axes(
        lambda axis: {
            "taps.pieces": ("width", None, f"{axis}_pieces", None),
            "taps.skip": ("width",),
        }
    )

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels and pieces."""
        pieces = {name: signature.pick.number(name) for name in SIDES}
        return {"width": signature.shape.width, **pieces}
