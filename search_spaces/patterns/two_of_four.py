"""2:4 sparsity: two weights of four neighbouring inputs remain.

Source: Mishra et al., Accelerating Sparse Deep Neural Networks (2021), sections 3 and 4.
"""

from typing import ClassVar, final

from search_spaces.patterns._base import PATTERNS, AbstractPattern


@final
@PATTERNS.register
class TwoOfFour(AbstractPattern):
    """Kernels of recent GPUs take it; those of CPUs do not."""

    kept: ClassVar[int] = 2
    index_bits: ClassVar[int] = 2
    kernel: ClassVar[str] = "sparse-2:4"
