"""Squeeze and excitation; source and departures in search_spaces/channel_attentions/se.py."""

from typing import ClassVar, final

from torch import Tensor

from search_spaces._sides import Sides
from supernets._elastic import Axes
from supernets._modules import Scale
from supernets.channel_attentions._base import (
    CHANNEL_ATTENTION_LAYERS,
    AbstractChannelAttentionLayer,
)
from supernets.channel_attentions._gates import SqueezedGates, squeezed_axes


@final
@CHANNEL_ATTENTION_LAYERS.register
class SELayer(AbstractChannelAttentionLayer):
    """Scales each channel by a gate that the means of all decide."""

    axes: ClassVar[Axes] = squeezed_axes("gates", "channels_se", "size_se")

    def __init__(self, channels: int, size: int, sides: Sides) -> None:
        super().__init__(channels, size, sides)
        self.gates = SqueezedGates(channels, size)
        self.scale = Scale()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        return self.scale(x_BCHW, self.gates(x_BCHW))
