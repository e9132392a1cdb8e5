"""A channel attention without parameters: every channel's own mean is its gate.

Source: Hu et al., Gather-Excite: Exploiting Feature Context in Convolutional Neural Networks
(2018), section 3.1, with the whole map as extent.
"""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Cost, Sides
from search_spaces.channel_attentions import CHANNEL_ATTENTIONS, AbstractChannelAttention, layers
from supernets.channel_attentions import (
    CHANNEL_ATTENTION_LAYERS,
    AbstractChannelAttentionLayer,
    Axes,
    Scale,
)


@final
@CHANNEL_ATTENTIONS.register
class GatherExcite(AbstractChannelAttention):
    """Global average, sigmoid, product."""

    def size(self, channels: int) -> int:
        return 1

    def cost(self, n: int, channels: int, size: int) -> Cost:
        gates = Cost(elements=2 * channels, calls=2, quantizers=2) + layers.nodes(2)
        return gates + layers.pointwise(n, channels, quantizers=1)


@final
@CHANNEL_ATTENTION_LAYERS.register
class GatherExciteLayer(AbstractChannelAttentionLayer):
    axes: ClassVar[Axes] = {}

    def __init__(self, channels: int, size: int, sides: Sides) -> None:
        super().__init__(channels, size, sides)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.gate = nn.Sigmoid()
        self.scale = Scale()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.scale(x_BCHW, self.gate(self.pool(x_BCHW)))
