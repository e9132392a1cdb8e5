"""Spatial and channel squeeze and excitation, beside each other.

    y = x * (channel gates) + x * (position gates)

Source: Roy et al., Recalibrating Fully Convolutional Networks with Spatial and Channel Squeeze &
Excitation Blocks (2019): channels' gates by a bottleneck of half of them, positions' by a 1x1
convolution to one map. Of its ways to combine them, the sum; as one product with the sum of gates,
which computes the same. Departure: SiLU instead of ReLU, as in `se`.
"""

from typing import final

from search_spaces import _layers as layers
from search_spaces._slot import Cost
from search_spaces.channel_attentions._base import CHANNEL_ATTENTIONS, AbstractChannelAttention
from search_spaces.channel_attentions._gates import one_map, scaled, sigmoid, squeezed_gates


@final
@CHANNEL_ATTENTIONS.register
class SCSE(AbstractChannelAttention):
    """Two linear layers make the gates of channels, a convolution those of positions."""

    def size(self, channels: int) -> int:
        """Channels inside: half."""
        return max(1, channels // 2)

    def cost(self, n: int, channels: int, size: int) -> Cost:
        """2 * channels * size + n * channels multiply-adds."""
        of_positions = one_map(n, channels) + sigmoid(n, 1)
        summed = layers.pointwise(n, channels)
        return squeezed_gates(channels, size) + of_positions + summed + scaled(n, channels)
