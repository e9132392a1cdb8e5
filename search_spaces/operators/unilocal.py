"""UniFormer's local block: positions, then neighbours that are added up by learnt weights.

Source: Li et al., UniFormer: Unifying Convolution and Self-attention for Visual Recognition (2022),
the block with a local relation aggregator. A depthwise 3x3 convolution with a shortcut tells
positions; the aggregator, also with a shortcut, is a 1x1 convolution that makes values, a large
depthwise kernel, and a 1x1 convolution. The block with a global one is `uniglobal`: which of the
two stands where is what the search decides. Departures: the large kernel is elastic; batch norm
behind the convolution that tells positions, so that a fresh block is the identity; the slot's
channel part follows, whose norm is a layer norm.
"""

from typing import final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.operators._base import OPERATORS, AbstractKernelMixer

POSITION = 3
"""Kernel size of what tells positions."""


@final
@OPERATORS.register
class UniLocal(AbstractKernelMixer):
    """Depthwise convolution for positions, then a large one between two of 1x1."""

    def mixer_cost(self, signature: Signature) -> Cost:
        """pixels * width * (9 + 2 * width + kernel_size ** 2) multiply-adds."""
        n, width = signature.shape.pixels, signature.shape.width
        return (
            position_cost(n, width)
            + layers.normed_conv(n, width, width)
            + layers.depthwise(n, width, signature.pick.number("kernel_size"), has_norm=False)
            + layers.linear(n, width, width)
            + layers.pointwise(n, width, calls=2)
        )


def position_cost(n: int, width: int) -> Cost:
    """Of the convolution that tells positions, two copies and two additions."""
    convolution = layers.depthwise(n, width, POSITION, has_norm=True)
    return convolution + layers.pointwise(n, width, calls=4, quantizers=1)
