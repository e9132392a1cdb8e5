"""The contract of a channel part's implementation."""

from search_spaces import Registry
from supernets._elastic import AbstractElastic


class AbstractElasticChannelPart(AbstractElastic):
    """An elastic module that mixes channels: (B, H, W, C) to the same shape, without shortcut.

    Its weights serve maps of all sides.
    """


ELASTIC_CHANNEL_PARTS = Registry(
    "supernets.channel_parts", "elastic channel part", AbstractElasticChannelPart
)
