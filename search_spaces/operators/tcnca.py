"""TCNCA: dilated convolutions that reach across the map, then attention in chunks.

Source: Terzić et al., TCNCA: Temporal Convolution Network with Chunked Attention for Scalable
Sequence Processing (2023): in MEGA, a stack of dilated convolutions takes the place of the moving
average whose output attention reads. Departures: the form without gates, queries, keys and values
all being of what the convolutions give; depthwise 3x3 kernels that see both directions, dilated by
1, 2, 4, ... until a pixel sees all or nearly all of the map's shorter side, each with batch norm,
ReLU6 and a shortcut, since the paper's settings are for sequences; chunks are windows of a map,
with their position bias and shift and heads of a fixed size, as in `window`.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._sides import Sides
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._attention import AbstractAttention
from search_spaces.operators._base import OPERATORS, Mixing
from search_spaces.operators.window import Window

KERNEL_SIZE = 3


@final
@OPERATORS.register
class TCNCA(AbstractAttention):
    """Dilated depthwise convolutions, then window attention."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution", "attention")

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """As of `window`."""
        return Window().mixer_normalise(pick, shape)

    def mixer_cost(self, signature: Signature) -> Cost:
        """That of `window`, and pixels * channels * 9 multiply-adds for every dilation."""
        shape = signature.shape
        n, width = shape.pixels, shape.width
        cost = Window().mixer_cost(signature) + layers.pointwise(n, width, calls=2)
        for _ in dilations(shape.size):
            cost += layers.depthwise(n, width, KERNEL_SIZE, has_norm=True) + layers.clamp()
            cost += layers.pointwise(n, width, quantizers=1)
        return cost


def dilations(size: Sides) -> list[int]:
    """1, 2, 4, ... up to two thirds of the shorter side: outer taps have a third of it to see."""
    return [2**power for power in range(min(size)) if 3 * 2**power <= 2 * min(size)]
