"""Spatial and channel squeeze and excitation; source and departure in
search_spaces/channel_attentions/scse.py."""

from typing import ClassVar, final

from torch import Tensor, nn

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
class SCSELayer(AbstractChannelAttentionLayer):
    """Scales a map by the sum of its channels' and its positions' gates, each in (0, 1)."""

    axes: ClassVar[Axes] = {
        **squeezed_axes("gates", "channels_scse", "size_scse"),
        "decide.weight": (None, "channels_scse", None, None),
    }

    def __init__(self, channels: int, size: int, sides: Sides) -> None:
        super().__init__(channels, size, sides)
        self.gates = SqueezedGates(channels, size)
        self.decide = nn.Conv2d(channels, 1, 1, bias=False)
        self.gate = nn.Sigmoid()
        self.scale = Scale()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        of_positions_B1HW = self.gate(self.decide(x_BCHW))
        return self.scale(x_BCHW, self.gates(x_BCHW) + of_positions_B1HW)
