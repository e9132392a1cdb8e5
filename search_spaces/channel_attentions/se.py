"""Squeeze and excitation: the means of all channels decide about each, through a bottleneck.

    y = x * sigmoid(W2 silu(W1 mean over positions of x))

Source: Hu et al., Squeeze-and-Excitation Networks (2018), section 3. Departures: a quarter of the
channels inside, as in Bello et al., Revisiting ResNets (2021), instead of a sixteenth; SiLU
instead of ReLU, as in Tan and Le, EfficientNet (2019): of a vector, a channel that is never
positive would never learn.
"""

from typing import final

from search_spaces._slot import Cost
from search_spaces.channel_attentions._base import CHANNEL_ATTENTIONS, AbstractChannelAttention
from search_spaces.channel_attentions._gates import scaled, squeezed_gates


@final
@CHANNEL_ATTENTIONS.register
class SE(AbstractChannelAttention):
    """Two linear layers make the gates."""

    def size(self, channels: int) -> int:
        """Channels inside."""
        return squeezed_channels(channels)

    def cost(self, n: int, channels: int, size: int) -> Cost:
        """2 * channels * size multiply-adds."""
        return squeezed_gates(channels, size) + scaled(n, channels)


def squeezed_channels(channels: int) -> int:
    """A quarter, at least one."""
    return max(1, channels // 4)
