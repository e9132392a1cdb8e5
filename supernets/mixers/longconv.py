"""Simple long convolutions: kernels of free taps, squashed or smoothed.

Source: Fu et al., Simple Hardware-Efficient Long Convolutions for Sequence Modeling (2023);
declaration and departures in search_spaces/operators/longconv.py.
"""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.longconv import SIDES
from supernets._elastic import KERNEL, AbstractUnpruned, Axes, Index
from supernets._long_convolution import AxialLongConvolution, FreeTaps
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class PlainLongConv(nn.Module):
    """Long convolutions of columns and of rows on a channels-last map."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, pick = signature.shape, signature.pick
        taps, regulariser = map(pick.number, SIDES), pick.text("regulariser")
        self.conv = AxialLongConvolution(
            shape.width, shape.size, lambda side: FreeTaps(shape.width, next(taps), regulariser)
        )

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in."""
        output: Tensor = self.conv(x_BHWC)
        return output


@final
@MIXERS.register
class ElasticLongConv(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width; a smaller map has the centres of a larger one's kernels."""

    has_shortcut: ClassVar[bool] = False
    plain: ClassVar[type[nn.Module]] = PlainLongConv
    axes: ClassVar[Axes] = {
        f"conv.{axis}.{tensor}": roles
        for axis in ("vertical", "horizontal")
        for tensor, roles in {
            "taps.weight": ("width", f"{KERNEL}_{axis}_taps"),
            "bias": ("width",),
        }.items()
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels, the centres of the kernels."""
        taps = {f"{KERNEL}_{name}": signature.pick.number(name) for name in SIDES}
        return {"width": signature.shape.width, **taps}
