"""SGConv: long kernels of stretched pieces.

Source: Li et al., What Makes Convolutional Models Great on Long Sequence Modeling? (2022);
declaration and departures in search_spaces/operators/sgconv.py.
"""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.sgconv import SIDES
from supernets._elastic import AbstractUnpruned, Axes, Index
from supernets._long_convolution import AxialLongConvolution, StretchedPieces
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class PlainSGConv(nn.Module):
    """Long convolutions of columns and of rows on a channels-last map."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, pieces = signature.shape, map(signature.pick.number, SIDES)
        self.conv = AxialLongConvolution(
            shape.width, shape.size, lambda side: StretchedPieces(shape.width, side, next(pieces))
        )

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in."""
        output: Tensor = self.conv(x_BHWC)
        return output


@final
@MIXERS.register
class ElasticSGConv(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width; a smaller map has the first pieces of a larger one."""

    has_shortcut: ClassVar[bool] = False
    plain: ClassVar[type[nn.Module]] = PlainSGConv
    axes: ClassVar[Axes] = {
        f"conv.{axis}.{tensor}": roles
        for axis in ("vertical", "horizontal")
        for tensor, roles in {
            "taps.pieces": ("width", None, f"{axis}_pieces", None),
            "taps.skip": ("width",),
            "bias": ("width",),
        }.items()
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels and pieces."""
        pieces = {name: signature.pick.number(name) for name in SIDES}
        return {"width": signature.shape.width, **pieces}
