"""No channel attention."""

from typing import ClassVar, final

from torch import Tensor

from search_spaces._sides import Sides
from supernets._elastic import Axes
from supernets.channel_attentions._base import (
    CHANNEL_ATTENTION_LAYERS,
    AbstractChannelAttentionLayer,
)


@final
@CHANNEL_ATTENTION_LAYERS.register
class NoAttentionLayer(AbstractChannelAttentionLayer):
    """Which no block has: its size is 0."""

    axes: ClassVar[Axes] = {}

    def __init__(self, channels: int, size: int, sides: Sides) -> None:
        super().__init__(channels, size, sides)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """What came in."""
        return x_BCHW
