"""LSNet's token mixer: a large kernel sees, and says by which small kernel each position is mixed.

Source: Wang et al., LSNet: See Large, Focus Small (2025), LS convolution: 1x1 to half of the
channels, large depthwise convolution and 1x1 give a 3x3 kernel per position and group of
channels. Departures: the large kernel is elastic; its features have batch norm and ReLU6, like all
of our convolutions, and kernels have no norm of their own; no batch norm behind the sum, which has
no convolution to fold into, and no shortcut around the mixer alone.
"""

from typing import final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.operators._base import OPERATORS, AbstractKernelMixer

SMALL = 3
"""Kernel size of the sums."""

GROUP_SIZE = 8
"""Channels that share a small kernel; the last ones may be fewer."""


@final
@OPERATORS.register
class LSConv(AbstractKernelMixer):
    """Large depthwise kernel that predicts a 3x3 kernel for every position."""

    def mixer_cost(self, signature: Signature) -> Cost:
        """pixels * (half * (width + kernel_size ** 2 + 9 * groups) + 9 * width) multiply-adds.

        The last term are products of activations, in fp32 in every format.
        """
        n, width = signature.shape.pixels, signature.shape.width
        half, kernels = seen_channels(width), SMALL**2 * num_kernels(width)
        return (
            layers.conv(n, width, half, 1)
            + layers.depthwise(n, half, signature.pick.number("kernel_size"), has_norm=True)
            + layers.plain_conv(n, half, kernels, 1)
            + layers.neighbour_sum(n, width, SMALL)
            + layers.pointwise(n, width, calls=2)
        )


def seen_channels(width: int) -> int:
    """Channels of what the large kernel sees."""
    return -(-width // 2)


def num_kernels(width: int) -> int:
    """Small kernels of every position."""
    return -(-width // GROUP_SIZE)
