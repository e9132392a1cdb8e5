"""No pattern: all weights remain, and none needs a position."""

from typing import ClassVar, final

from search_spaces._slot import PATTERN_GROUP
from search_spaces.patterns._base import PATTERNS, AbstractPattern


@final
@PATTERNS.register
class Dense(AbstractPattern):
    """All weights."""

    kept: ClassVar[int] = PATTERN_GROUP
    index_bits: ClassVar[int] = 0
    kernel: ClassVar[str] = ""
