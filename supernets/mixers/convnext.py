"""ConvNeXt's depthwise convolution.

Source: Liu et al., A ConvNet for the 2020s (2022), section 2.6; declaration and departures in
search_spaces/operators/convnext.py.
"""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import KERNEL, AbstractUnpruned, Axes, Index
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class PlainConvNeXt(nn.Module):
    """Depthwise convolution with bias on a channels-last map."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width, kernel_size = signature.shape.width, signature.pick.number("kernel_size")
        self.conv = nn.Conv2d(width, width, kernel_size, 1, kernel_size // 2, groups=width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in."""
        return self.conv(x_BHWC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


@final
@MIXERS.register
class ElasticConvNeXt(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width and kernel."""

    has_shortcut: ClassVar[bool] = False
    plain: ClassVar[type[nn.Module]] = PlainConvNeXt
    axes: ClassVar[Axes] = {
        "conv.weight": ("width", None, KERNEL, KERNEL),
        "conv.bias": ("width",),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels, the centre of the kernel."""
        return {"width": signature.shape.width, KERNEL: signature.pick.number("kernel_size")}
