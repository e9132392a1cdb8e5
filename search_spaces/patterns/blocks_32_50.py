"""Blocks of 32 x 32 weights: half of each linear layer's remain.

Source: Xu et al., LPViT: Low-Power Semi-structured Pruning for Vision Transformers (2024).
"""

from typing import ClassVar, final

from search_spaces.patterns._base import BLOCK_INDEX_BITS, BLOCKS, PATTERNS, AbstractPattern


@final
@PATTERNS.register
class HalfOfBlocks(AbstractPattern):
    """50 % of the blocks."""

    kept: ClassVar[int] = 2
    index_bits: ClassVar[int] = BLOCK_INDEX_BITS
    kernel: ClassVar[str] = BLOCKS
    is_blocked: ClassVar[bool] = True
