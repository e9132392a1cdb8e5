"""Polarized self-attention: attention to positions gates channels, attention to channels positions.

    channel gates   sigmoid(norm(Wz (Wv X) softmax(wq X)))        softmax over positions
    position gates  sigmoid(softmax(mean of Uq X) (Uv X))         softmax over channels

Source: Liu et al., Polarized Self-Attention: Towards High-quality Pixel-wise Regression (2021),
equations 4 and 5, and the parallel layout: y = x * (channel gates) + x * (position gates), as one
product with the sum of gates. The inner channels are half of them. What is linear is moved from
maps to vectors, which computes the same with fewer multiply-adds: Wv is applied to the sum of X
that attention weighs, Uq to the mean of X, and Uv to the query instead of the map. Departure: wq,
Uq and Uv have no bias.
"""

from typing import final

from search_spaces import _layers as layers
from search_spaces._slot import Cost
from search_spaces.channel_attentions._base import CHANNEL_ATTENTIONS, AbstractChannelAttention
from search_spaces.channel_attentions._gates import scaled
from search_spaces.channel_attentions._polarized import (
    channel_gates,
    inner_channels,
    position_gates,
)


@final
@CHANNEL_ATTENTIONS.register
class Polarized(AbstractChannelAttention):
    """A gate for every channel and one for every position, which are added."""

    def size(self, channels: int) -> int:
        """Inner channels."""
        return inner_channels(channels)

    def cost(self, n: int, channels: int, size: int) -> Cost:
        """n * channels * 3 + 4 * channels * size multiply-adds."""
        gates = channel_gates(n, channels, size) + position_gates(n, channels, size)
        return gates + layers.pointwise(n, channels) + scaled(n, channels)
