"""Upsampling of columns; source and departures in search_spaces/trunk/upsample_nearest.py."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import Axes
from supernets._modules import ConvNorm, conv_norm_axes
from supernets.trunk._base import TRUNK_BLOCKS, AbstractTrunkBlock
from supernets.trunk.upsample import Enlarged


class PlainUpsampleNearest(nn.Module):
    """1x1 convolution, batch norm, nearest neighbours."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape = signature.shape
        self.layer = ConvNorm(shape.in_width, shape.width, 1, has_act=False)
        self.enlarge = Enlarged(shape, "nearest")

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, 2 * H, 2 * W), less a row or a column where the larger map has an odd side."""
        return self.enlarge(self.layer(x_BCHW))


@final
@TRUNK_BLOCKS.register
class ElasticUpsampleNearest(AbstractTrunkBlock):
    """Elastic widths."""

    plain: ClassVar[type[nn.Module]] = PlainUpsampleNearest
    axes: ClassVar[Axes] = conv_norm_axes("layer", "width", "in_width")
