"""From the map of a decoder to a mask; declaration in search_spaces/trunk/masks.py."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import Axes
from supernets._modules import ConvNorm, conv_norm_axes
from supernets.trunk._base import TRUNK_BLOCKS, AbstractTrunkBlock
from supernets.trunk.upsample import Enlarged


class PlainMasks(nn.Module):
    """3x3 convolution with batch norm and ReLU6, 1x1 convolution to classes, bilinear upsampling.

    Source: Mehta et al., Simple and Efficient Architectures for Semantic Segmentation (2022).
    """

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape = signature.shape
        self.layer = ConvNorm(shape.in_width, shape.in_width, 3)
        self.classifier = nn.Conv2d(shape.in_width, shape.width, 1)
        self.enlarge = Enlarged(shape, "bilinear")

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Logits, (B, classes, *size)."""
        return self.enlarge(self.classifier(self.layer(x_BCHW)))


@final
@TRUNK_BLOCKS.register
class ElasticMasks(AbstractTrunkBlock):
    """Elastic input width; the classes are fixed."""

    plain: ClassVar[type[nn.Module]] = PlainMasks
    axes: ClassVar[Axes] = {
        **conv_norm_axes("layer", "in_width", "in_width"),
        "classifier.weight": (None, "in_width", None, None),
        "classifier.bias": (None,),
    }
