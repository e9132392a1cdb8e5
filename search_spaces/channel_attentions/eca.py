"""Efficient channel attention: the means of neighbouring channels decide about each.

    y = x * sigmoid(conv1d(mean over positions of x))

Source: Wang et al., ECA-Net (2020), section 3.2. The convolution has no bias; its few weights stay
in fp32 in every format. Departure: it stands where a block has its channel attention, see
`search_spaces/operators/mbconv.py`.
"""

import math
from typing import final

from search_spaces._slot import Cost
from search_spaces.channel_attentions._base import CHANNEL_ATTENTIONS, AbstractChannelAttention

GRAPH_BYTES = 212


@final
@CHANNEL_ATTENTIONS.register
class ECA(AbstractChannelAttention):
    """Global pool, convolution over neighbouring channels, sigmoid, scaling of the map."""

    def size(self, channels: int) -> int:
        """Side of the kernel."""
        return eca_size(channels)

    def cost(self, n: int, channels: int, size: int) -> Cost:
        """channels * size multiply-adds."""
        return Cost(
            dense=channels * size,
            params=size,
            vectors=size,
            elements=3 * channels + n * channels,
            calls=4,
            quantizers=3,
            graph_bytes=GRAPH_BYTES,
        )


def eca_size(channels: int) -> int:
    """Neighbouring channels that decide about one: the odd number near (log2(C) + 1) / 2.

    Source: Wang et al., ECA-Net (2020), equation 12 with gamma = 2, b = 1.
    """
    nearest = int(abs((math.log2(channels) + 1) / 2))
    return max(1, nearest if nearest % 2 else nearest + 1)
