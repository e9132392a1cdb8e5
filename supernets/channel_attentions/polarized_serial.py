"""Polarized self-attention, one gate after the other; source in
search_spaces/channel_attentions/polarized_serial.py."""

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
class PolarizedSerialLayer(AbstractChannelAttentionLayer):
    """Scales channels, then positions."""

    axes: ClassVar[Axes] = polarized_axes("polarized-serial")

    def __init__(self, channels: int, size: int, sides: Sides) -> None:
        super().__init__(channels, size, sides)
        self.of_channels = ChannelGates(channels, size, sides)
        self.scale_channels = Scale()
        self.of_positions = PositionGates(channels, size, sides)
        self.scale_positions = Scale()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        x_BCHW = self.scale_channels(x_BCHW, self.of_channels(x_BCHW))
        return self.scale_positions(x_BCHW, self.of_positions(x_BCHW))
