"""A dilated separable convolution; source and departures in search_spaces/operators/dilconv.py."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.dilconv import TAPS_APART
from supernets._elastic import AbstractUnpruned, Axes, Index
from supernets.blocks._base import BLOCKS, AbstractElasticBlock
from supernets.blocks.conv import widths_and_kernel
from supernets.blocks.sepconv import SeparableConv, separable_axes


class PlainDilConv(nn.Module):
    """One separable convolution."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, side = signature.shape, signature.pick.number("kernel_size")
        self.layer = SeparableConv(shape.in_width, shape.width, side, dilation=TAPS_APART)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, *size)."""
        return self.layer(x_BCHW)


@final
@BLOCKS.register
class ElasticDilConv(AbstractUnpruned, AbstractElasticBlock):
    """Elastic widths and kernel."""

    plain: ClassVar[type[nn.Module]] = PlainDilConv
    axes: ClassVar[Axes] = separable_axes("layer", "width", "in_width")

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels, and the centre of the kernel."""
        return widths_and_kernel(signature)
