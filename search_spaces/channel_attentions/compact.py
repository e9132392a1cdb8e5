"""Compact channel attention: one matrix between the means of channels and their gates.

    y = x * sigmoid(W mean over positions of x)

Source: Ai et al., DiCo: Revitalizing ConvNets for Scalable and Efficient Diffusion Modeling (2025),
the attention of its convolution module. The 1x1 convolution of a map of one position is a linear
layer.
"""

from typing import final

from search_spaces import _layers as layers
from search_spaces._slot import Cost
from search_spaces.channel_attentions._base import CHANNEL_ATTENTIONS, AbstractChannelAttention
from search_spaces.channel_attentions._gates import pooled, scaled, sigmoid


@final
@CHANNEL_ATTENTIONS.register
class Compact(AbstractChannelAttention):
    """One linear layer makes the gates."""

    def size(self, channels: int) -> int:
        """Nothing but channels."""
        return 1

    def cost(self, n: int, channels: int, size: int) -> Cost:
        """channels ** 2 multiply-adds."""
        gates = layers.linear(1, channels, channels) + sigmoid(1, channels)
        return pooled(channels) + gates + scaled(n, channels)
