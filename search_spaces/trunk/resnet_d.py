"""Deep stem: three 3x3 convolutions, the first two with half of the width.

Sources: He et al., Bag of Tricks for Image Classification with Convolutional Neural Networks
(2019), section 4.2, ResNet-C and ResNet-D; Bello et al., Revisiting ResNets (2021), section 3.1: a
stem of stride 4 has a fourth convolution of stride 2 instead of the max pool. Departure: batch norm
and ReLU6 behind each, like all of our convolutions.
"""

import math
from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._resolution import halved
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.trunk._base import TRUNK, AbstractTrunk, Place

FIRST_STRIDE = 2
"""At most: of the first convolution."""


@final
@TRUNK.register
class ResNetD(AbstractTrunk):
    """The first convolution has a stride of up to 2, a fourth one the rest."""

    place: ClassVar[Place] = "stem"
    dims: ClassVar[tuple[str, ...]] = ("stride",)

    def cost(self, signature: Signature) -> Cost:
        """Three or four convolutions."""
        shape, stride = signature.shape, signature.pick.number("stride")
        inner = inner_channels(shape)
        n = shape.in_pixels if stride == 1 else math.prod(map(halved, shape.in_size))
        cost = Cost(quantizers=1) + layers.conv(n, shape.in_width, inner, 3) + layers.clamp()
        cost += layers.conv(n, inner, inner, 3) + layers.clamp()
        cost += layers.conv(n, inner, shape.width, 3) + layers.clamp()
        if stride > FIRST_STRIDE:
            cost += layers.conv(shape.pixels, shape.width, shape.width, 3) + layers.clamp()
        return cost


def inner_channels(shape: Shape) -> int:
    """Of the first two convolutions."""
    return max(1, shape.width // 2)
