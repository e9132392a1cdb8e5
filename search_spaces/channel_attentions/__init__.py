"""Torch-free declarations of channel attentions: sizes and costs.

One file per channel attention; `_base.py` is the contract.
"""

from search_spaces import _layers as layers
from search_spaces.channel_attentions._base import CHANNEL_ATTENTIONS, AbstractChannelAttention

__all__ = ["CHANNEL_ATTENTIONS", "AbstractChannelAttention", "layers"]
