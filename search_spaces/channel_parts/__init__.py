"""Torch-free declarations of channel parts: prunable groups and costs.

One file per channel part; `_base.py` is the contract.
"""

from search_spaces import _layers as layers
from search_spaces.channel_parts._base import CHANNEL_PARTS, AbstractChannelPart

__all__ = ["CHANNEL_PARTS", "AbstractChannelPart", "layers"]
