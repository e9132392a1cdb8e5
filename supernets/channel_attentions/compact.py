"""Compact channel attention; source in search_spaces/channel_attentions/compact.py."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces._sides import Sides
from supernets._elastic import Axes
from supernets._modules import Scale, linear_axes
from supernets.channel_attentions._base import (
    CHANNEL_ATTENTION_LAYERS,
    AbstractChannelAttentionLayer,
)
from supernets.channel_attentions._gates import Means


@final
@CHANNEL_ATTENTION_LAYERS.register
class CompactLayer(AbstractChannelAttentionLayer):
    """Scales each channel by a gate, a linear layer of the means of all."""

    axes: ClassVar[Axes] = linear_axes("decide", "channels_compact", "channels_compact")

    def __init__(self, channels: int, size: int, sides: Sides) -> None:
        super().__init__(channels, size, sides)
        self.channels = channels
        self.means = Means()
        self.decide = nn.Linear(channels, channels)
        self.gate = nn.Sigmoid()
        self.scale = Scale()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        gates_BC = self.gate(self.decide(self.means(x_BCHW)))
        return self.scale(x_BCHW, gates_BC.reshape(-1, self.channels, 1, 1))
