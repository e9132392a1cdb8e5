"""The usual head; declaration in search_spaces/trunk/head.py."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import Axes
from supernets._modules import NORM_EPS, ConvNorm, conv_norm_axes, linear_axes, norm_axes
from supernets.trunk._base import TRUNK_BLOCKS, AbstractTrunkBlock


class PlainHead(nn.Module):
    """3x3 convolution with batch norm and ReLU6, global average pool, layer norm, classifier."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape = signature.shape
        self.layer = ConvNorm(shape.in_width, shape.in_width, 3)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.norm = nn.LayerNorm(shape.in_width, eps=NORM_EPS)
        self.classifier = nn.Linear(shape.in_width, shape.width)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Logits, (B, classes)."""
        return self.classifier(self.norm(self.pool(self.layer(x_BCHW)).flatten(1)))


@final
@TRUNK_BLOCKS.register
class ElasticHead(AbstractTrunkBlock):
    """Elastic input width; the classes are fixed."""

    plain: ClassVar[type[nn.Module]] = PlainHead
    axes: ClassVar[Axes] = {
        **conv_norm_axes("layer", "in_width", "in_width"),
        **norm_axes("norm", "in_width"),
        **linear_axes("classifier", None, "in_width"),
    }
