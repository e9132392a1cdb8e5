"""A plain convolution; source and departures in search_spaces/operators/conv.py."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import KERNEL, AbstractUnpruned, Axes, Index
from supernets._modules import ConvNorm, conv_norm_axes
from supernets.blocks._base import BLOCKS, AbstractElasticBlock


class PlainConv(nn.Module):
    """Convolution, batch norm, ReLU6."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape = signature.shape
        side = signature.pick.number("kernel_size")
        self.layer = ConvNorm(shape.in_width, shape.width, side, stride=shape.stride)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, *size)."""
        return self.layer(x_BCHW)


@final
@BLOCKS.register
class ElasticConv(AbstractUnpruned, AbstractElasticBlock):
    """Elastic widths and kernel."""

    plain: ClassVar[type[nn.Module]] = PlainConv
    axes: ClassVar[Axes] = conv_norm_axes("layer", "width", "in_width", KERNEL)

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels, and the centre of the kernel."""
        return widths_and_kernel(signature)


def widths_and_kernel(signature: Signature) -> dict[str, Index]:
    """Roles of a block whose widths and kernel are elastic."""
    shape = signature.shape
    return {
        "in_width": shape.in_width,
        "width": shape.width,
        KERNEL: signature.pick.number("kernel_size"),
    }
