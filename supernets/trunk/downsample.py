"""The usual downsampling; declaration in search_spaces/trunk/downsample.py."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import Axes
from supernets._modules import ConvNorm, conv_norm_axes
from supernets.trunk._base import TRUNK_BLOCKS, AbstractTrunkBlock


class PlainDownsample(nn.Module):
    """3x3 convolution of stride 2, batch norm, ReLU6: part of the trunk all members share."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape = signature.shape
        self.layer = ConvNorm(shape.in_width, shape.width, 3, stride=2)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H / 2, W / 2), rounded up."""
        return self.layer(x_BCHW)


@final
@TRUNK_BLOCKS.register
class ElasticDownsample(AbstractTrunkBlock):
    """Elastic widths."""

    plain: ClassVar[type[nn.Module]] = PlainDownsample
    axes: ClassVar[Axes] = conv_norm_axes("layer", "width", "in_width")
