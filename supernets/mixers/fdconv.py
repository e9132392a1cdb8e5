"""FDConv: kernels of bands of frequencies, weighed by image and position.

Source: Chen et al., Frequency Dynamic Convolution (2025); declaration and departures in
search_spaces/operators/fdconv.py. Shapes: B batch, C channels, S bands, H W space.
"""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.fdconv import band_of
from supernets._elastic import KERNEL, AbstractUnpruned, Axes, Index
from supernets._merged import BandedDepthwise
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class PlainFDConv(nn.Module):
    """The sum of the bands' maps, each times its gain."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, pick = signature.shape, signature.pick
        self.width, self.size, self.bands = shape.width, shape.size, pick.number("num_bands")
        kernel_size = pick.number("kernel_size")
        self.conv = BandedDepthwise(shape.width, band_of(kernel_size, self.bands))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.attention = nn.Conv2d(shape.width, self.bands, 1)
        self.modulation = nn.Conv2d(shape.width, self.bands, 1, bias=False)
        self.gate = nn.Sigmoid()

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in."""
        x_BCHW = x_BHWC.permute(0, 3, 1, 2)
        gains = self.gate(self.modulation(x_BCHW) + self.attention(self.pool(x_BCHW)))
        gains_B1SHW = gains.reshape(-1, 1, self.bands, *self.size)
        maps_BCSHW = self.conv(x_BCHW).reshape(-1, self.width, self.bands, *self.size)
        return (maps_BCSHW * gains_B1SHW).sum(2).permute(0, 2, 3, 1)


@final
@MIXERS.register
class ElasticFDConv(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width, kernel and number of bands; a smaller kernel has the lowest frequencies."""

    has_shortcut: ClassVar[bool] = False
    plain: ClassVar[type[nn.Module]] = PlainFDConv
    axes: ClassVar[Axes] = {
        "conv.coefficients": ("width", KERNEL, KERNEL),
        "attention.weight": ("bands", "width", None, None),
        "attention.bias": ("bands",),
        "modulation.weight": ("bands", "width", None, None),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels and bands, the centre of the coefficients."""
        return {
            "width": signature.shape.width,
            "bands": signature.pick.number("num_bands"),
            KERNEL: signature.pick.number("kernel_size"),
        }
