"""Efficient channel attention; source and departure in search_spaces/channel_attentions/eca.py."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces._sides import Sides
from supernets._elastic import Axes
from supernets._modules import Scale
from supernets.channel_attentions._base import (
    CHANNEL_ATTENTION_LAYERS,
    AbstractChannelAttentionLayer,
)


@final
@CHANNEL_ATTENTION_LAYERS.register
class ECALayer(AbstractChannelAttentionLayer):
    """Scales each channel by a gate that its neighbouring channels' means decide."""

    axes: ClassVar[Axes] = {"conv.weight": (None, None, "kernel_eca")}

    def __init__(self, channels: int, size: int, sides: Sides) -> None:
        super().__init__(channels, size, sides)
        self.channels = channels
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.conv = nn.Conv1d(1, 1, size, padding=size // 2, bias=False)
        self.gate = nn.Sigmoid()
        self.scale = Scale()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        means = self.pool(x_BCHW).reshape(-1, 1, self.channels)
        gates_B1C = self.gate(self.conv(means))
        return self.scale(x_BCHW, gates_B1C.reshape(-1, self.channels, 1, 1))
