"""Residual downsampling; source and departures in search_spaces/trunk/downsample_residual.py."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import Axes
from supernets._modules import Add, ConvNorm, conv_norm_axes
from supernets.trunk._base import TRUNK_BLOCKS, AbstractTrunkBlock


class PlainDownsampleResidual(nn.Module):
    """A branch of two convolutions, and an average with a 1x1 convolution around it."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        in_width, width = signature.shape.in_width, signature.shape.width
        self.reduce = ConvNorm(in_width, width, 3, stride=2)
        self.project = ConvNorm(width, width, 3, has_act=False)
        self.pool = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
        self.shortcut = ConvNorm(in_width, width, 1, has_act=False)
        self.add = Add()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H / 2, W / 2), rounded up."""
        return self.add(self.shortcut(self.pool(x_BCHW)), self.project(self.reduce(x_BCHW)))


@final
@TRUNK_BLOCKS.register
class ElasticDownsampleResidual(AbstractTrunkBlock):
    """Elastic widths."""

    plain: ClassVar[type[nn.Module]] = PlainDownsampleResidual
    axes: ClassVar[Axes] = {
        **conv_norm_axes("reduce", "width", "in_width"),
        **conv_norm_axes("project", "width", "width"),
        **conv_norm_axes("shortcut", "width", "in_width"),
    }
