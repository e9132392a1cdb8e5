"""The contract of a sparsity pattern: of so many neighbouring inputs of an output, so many remain.

Groups are neighbours along the input channels of linear layers and convolutions, at each position
of a kernel. Layers whose inputs are no whole number of groups stay dense: kernels want whole ones.
`compress/sparse.py` carries patterns out.

Dense kernels multiply the zeros and files store them, so what a pattern spares is *modelled*: it
holds on a device that has the pattern's kernels and stores what remains with its positions.
"""

from abc import ABC
from functools import cache
from typing import ClassVar

from search_spaces._registry import Registry
from search_spaces._slot import PATTERN_GROUP


class AbstractPattern(ABC):
    """A sparsity pattern of a policy. Plug-ins have no state."""

    kept: ClassVar[int]
    """Weights that remain of `PATTERN_GROUP` neighbours."""

    index_bits: ClassVar[int]
    """Of each that remains, to say where in its group it is."""

    kernel: ClassVar[str]
    """Kind of kernels with which a device gains by it; "" for dense ones."""

    @property
    def is_dense(self) -> bool:
        """Whether all weights remain."""
        return self.kept == PATTERN_GROUP

    def kept_of(self, values: int) -> int:
        """Of so many weights, or multiply-adds, in whole groups those that remain."""
        return values * self.kept // PATTERN_GROUP

    def stored_bits(self, weights: int, weight_bits: int) -> int:
        """Of weights in whole groups: what remains, and where it was."""
        return self.kept_of(weights) * (weight_bits + self.index_bits)


PATTERNS = Registry("search_spaces.patterns", "pattern", AbstractPattern)


@cache
def pattern_of(name: str) -> AbstractPattern:
    """The declaration of a named pattern.

    Raises:
        UserError: If there is no such pattern.
    """
    found = PATTERNS.get(name)()
    assert isinstance(found, AbstractPattern)
    return found
