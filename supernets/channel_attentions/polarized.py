"""Polarized self-attention; source and departure in
search_spaces/channel_attentions/polarized.py."""

from typing import ClassVar, final

from torch import Tensor

from search_spaces._sides import Sides
from supernets._elastic import Axes
from supernets._modules import Scale
from supernets.channel_attentions._base import (
    CHANNEL_ATTENTION_LAYERS,
    AbstractChannelAttentionLayer,
)
from supernets.channel_attentions._polarized import ChannelGates, PositionGates, polarized_axes


@final
@CHANNEL_ATTENTION_LAYERS.register
class PolarizedLayer(AbstractChannelAttentionLayer):
    """Scales a map by the sum of its channels' and its positions' gates."""

    axes: ClassVar[Axes] = polarized_axes("polarized")

    def __init__(self, channels: int, size: int, sides: Sides) -> None:
        super().__init__(channels, size, sides)
        self.of_channels = ChannelGates(channels, size, sides)
        self.of_positions = PositionGates(channels, size, sides)
        self.scale = Scale()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        return self.scale(x_BCHW, self.of_channels(x_BCHW) + self.of_positions(x_BCHW))
