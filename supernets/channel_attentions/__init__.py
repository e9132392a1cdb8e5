"""Channel attentions with elastic channels: one implementation per file."""

from supernets._elastic import Axes
from supernets._modules import Scale, linear_axes
from supernets.channel_attentions._base import (
    CHANNEL_ATTENTION_LAYERS,
    AbstractChannelAttentionLayer,
)

__all__ = [
    "CHANNEL_ATTENTION_LAYERS",
    "AbstractChannelAttentionLayer",
    "Axes",
    "Scale",
    "linear_axes",
]
