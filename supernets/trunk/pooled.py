"""The head without a convolution; source and departure in search_spaces/trunk/pooled.py."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import Axes
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets.trunk._base import TRUNK_BLOCKS, AbstractTrunkBlock


class PlainPooled(nn.Module):
    """ReLU, global average pool, layer norm, classifier."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape = signature.shape
        self.act = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.norm = nn.LayerNorm(shape.in_width, eps=NORM_EPS)
        self.classifier = nn.Linear(shape.in_width, shape.width)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Logits, (B, classes)."""
        return self.classifier(self.norm(self.pool(self.act(x_BCHW)).flatten(1)))


@final
@TRUNK_BLOCKS.register
class ElasticPooled(AbstractTrunkBlock):
    """Elastic input width; the classes are fixed."""

    plain: ClassVar[type[nn.Module]] = PlainPooled
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "in_width"),
        **linear_axes("classifier", None, "in_width"),
    }
