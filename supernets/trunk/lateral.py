"""What a stage hands to a decoder; source and departure in search_spaces/trunk/lateral.py."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import Axes
from supernets._modules import ConvNorm, conv_norm_axes
from supernets.trunk._base import TRUNK_BLOCKS, AbstractTrunkBlock


class PlainLateral(nn.Module):
    """1x1 convolution, batch norm."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape = signature.shape
        self.layer = ConvNorm(shape.in_width, shape.width, 1, has_act=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H, W)."""
        return self.layer(x_BCHW)


@final
@TRUNK_BLOCKS.register
class ElasticLateral(AbstractTrunkBlock):
    """Elastic widths."""

    plain: ClassVar[type[nn.Module]] = PlainLateral
    axes: ClassVar[Axes] = conv_norm_axes("layer", "width", "in_width")
