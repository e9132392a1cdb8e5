"""Blocks of 32 x 32 weights: a quarter of each linear layer's remain."""

from typing import ClassVar, final

from search_spaces.patterns._base import PATTERNS, AbstractBlockPattern


@final
@PATTERNS.register
class QuarterOfBlocks(AbstractBlockPattern):
    """25 % of the blocks."""

    kept: ClassVar[int] = 1
