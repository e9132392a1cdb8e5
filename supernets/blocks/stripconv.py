"""A row, then a column; source and departures in search_spaces/operators/stripconv.py."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import KERNEL, AbstractUnpruned, Axes, Index
from supernets._modules import ConvNorm
from supernets.blocks._base import BLOCKS, AbstractElasticBlock
from supernets.blocks.conv import widths_and_kernel


class PlainStripConv(nn.Module):
    """Convolution of a row without a norm, convolution of a column, batch norm, ReLU6."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        in_width, width = signature.shape.in_width, signature.shape.width
        side = signature.pick.number("kernel_size")
        reach = side // 2
        self.row = nn.Conv2d(in_width, width, (1, side), padding=(0, reach), bias=False)
        self.column = ConvNorm(width, width, 1)
        self.column.conv = nn.Conv2d(width, width, (side, 1), padding=(reach, 0), bias=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, *size)."""
        return self.column(self.row(x_BCHW))


@final
@BLOCKS.register
class ElasticStripConv(AbstractUnpruned, AbstractElasticBlock):
    """Elastic widths and kernel."""

    plain: ClassVar[type[nn.Module]] = PlainStripConv
    axes: ClassVar[Axes] = {
        "row.weight": ("width", "in_width", None, KERNEL),
        "column.conv.weight": ("width", "width", KERNEL, None),
        "column.norm": ("width",),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels, and the centres of kernels."""
        return widths_and_kernel(signature)
