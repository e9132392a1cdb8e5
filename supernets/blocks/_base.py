"""The contract of a block's implementation."""

from search_spaces import Registry
from supernets._elastic import AbstractElastic


class AbstractElasticBlock(AbstractElastic):
    """An elastic module that fills its slot alone: (B, in_width, H, W) to (B, width, H', W')."""


BLOCKS = Registry("supernets.blocks", "block", AbstractElasticBlock)
