"""1:4 sparsity: one weight of four neighbouring inputs remains."""

from typing import ClassVar, final

from search_spaces import PATTERNS, AbstractPattern


@final
@PATTERNS.register
class OneOfFour(AbstractPattern):
    """For devices with kernels for one of four."""

    kept: ClassVar[int] = 1
    index_bits: ClassVar[int] = 2
    kernel: ClassVar[str] = "sparse-1:4"
