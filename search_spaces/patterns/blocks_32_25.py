"""Blocks of 32 x 32 weights: a quarter of each linear layer's remain.

Source: Xu et al., LPViT: Low-Power Semi-structured Pruning for Vision Transformers (2024).
"""

from typing import ClassVar, final

from search_spaces.patterns._base import BLOCK_INDEX_BITS, BLOCKS, PATTERNS, AbstractPattern


@final
@PATTERNS.register
class QuarterOfBlocks(AbstractPattern):
    """25 % of the blocks."""

    kept: ClassVar[int] = 1
    index_bits: ClassVar[int] = BLOCK_INDEX_BITS
    kernel: ClassVar[str] = BLOCKS
    is_blocked: ClassVar[bool] = True
