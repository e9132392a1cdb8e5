"""A stem of two 3x3 convolutions.

Source: He et al., Bag of Tricks for Image Classification with Convolutional Neural Networks (2019),
section 4.2, "ResNet-C". Departures: two convolutions instead of three, ReLU6 instead of ReLU.
"""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Cost, Signature
from search_spaces.operators import layers
from search_spaces.trunk import TRUNK, AbstractTrunk
from supernets.blocks import AbstractElasticBlock, ConvNorm, Index, conv_norm_axes
from supernets.trunk import TRUNK_BLOCKS


def half(signature: Signature) -> int:
    return signature.shape.width // 2


@final
@TRUNK.register
class DeepStem(AbstractTrunk):
    """The first convolution has the stride and half of the width."""

    place: ClassVar = "stem"
    dims: ClassVar = ("stride",)

    def cost(self, signature: Signature) -> Cost:
        shape, inner = signature.shape, half(signature)
        first = layers.conv(shape.pixels, shape.in_width, inner, 3) + layers.clamp()
        second = layers.conv(shape.pixels, inner, shape.width, 3) + layers.clamp()
        return first + second + Cost(quantizers=1)  # of the image


class PlainDeepStem(nn.Module):
    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, stride = signature.shape, signature.pick.number("stride")
        self.first = ConvNorm(shape.in_width, half(signature), 3, stride=stride)
        self.second = ConvNorm(half(signature), shape.width, 3)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.second(self.first(x_BCHW))


@final
@TRUNK_BLOCKS.register
class ElasticDeepStem(AbstractElasticBlock):
    plain: ClassVar = PlainDeepStem
    axes: ClassVar = conv_norm_axes("first", "half", None) | conv_norm_axes(
        "second", "width", "half"
    )

    def sizes(self, signature: Signature) -> dict[str, Index]:
        return {"width": signature.shape.width, "half": half(signature)}

    def group_weights(self) -> dict:
        return {}
