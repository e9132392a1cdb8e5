"""Polarized self-attention whose position gates see what channel gates have scaled.

Source: Liu et al., Polarized Self-Attention: Towards High-quality Pixel-wise Regression (2021), the
sequential layout; gates and departure as in `polarized`.
"""

from typing import final

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
class PolarizedSerial(AbstractChannelAttention):
    """A gate for every channel, then one for every position."""

    def size(self, channels: int) -> int:
        """Inner channels."""
        return inner_channels(channels)

    def cost(self, n: int, channels: int, size: int) -> Cost:
        """n * channels * 3 + 4 * channels * size multiply-adds."""
        of_channels = channel_gates(n, channels, size) + scaled(n, channels)
        return of_channels + position_gates(n, channels, size) + scaled(n, channels)
