"""The contract of a sparsity pattern: of so many weights, or blocks of weights, so many remain.

Either groups are neighbours along the input channels of linear layers and convolutions, at each
position of a kernel, and so many of each group remain; or linear layers are cut into square blocks,
and of each layer that share of its blocks remains. Layers whose inputs are no whole number of
groups, or whose weights are no whole blocks, stay dense: kernels want whole ones.
`compress/sparse.py` carries patterns out.

Dense kernels multiply the zeros and files store them, so what a pattern spares is *modelled*: it
holds on a device that has the pattern's kernels and stores what remains with its positions.
"""

from abc import ABC
from functools import cache
from typing import ClassVar, NamedTuple

from search_spaces._blocks import BLOCK_SIDE
from search_spaces._registry import Registry
from search_spaces._slot import PATTERN_GROUP, Cost

BLOCKS = f"blocks-{BLOCK_SIDE}x{BLOCK_SIDE}"
"""Kind of kernels that skip blocks."""

BLOCK_INDEX_BITS = 16
"""Of each block that remains, its place in its row of blocks."""


class Taken(NamedTuple):
    """What a pattern may take of a slot.

    Attributes:
        weights: Of layers that it fits.
        matrix_weights: Of these, those of linear layers.
        macs: Multiply-adds with them.
    """

    weights: int
    matrix_weights: int
    macs: int


class AbstractPattern(ABC):
    """A sparsity pattern of a policy. Plug-ins have no state."""

    kept: ClassVar[int]
    """Weights, or blocks, that remain of `PATTERN_GROUP`."""

    index_bits: ClassVar[int]
    """Of each that remains, to say where it is."""

    kernel: ClassVar[str]
    """Kind of kernels with which a device gains by it; "" for dense ones."""

    is_blocked: ClassVar[bool] = False
    """Whether blocks of `BLOCK_SIDE` outputs and inputs of linear layers go as a whole."""

    @property
    def is_dense(self) -> bool:
        """Whether all weights remain."""
        return self.kept == PATTERN_GROUP

    def taken(self, cost: Cost) -> Taken:
        """Of a slot's cost, what the pattern may take."""
        if self.is_blocked:
            return Taken(cost.blocked, cost.blocked, cost.blocked_macs)
        return Taken(cost.grouped, cost.matrix_grouped, cost.grouped_macs)

    def kept_of(self, values: int) -> int:
        """Of so many weights, blocks or multiply-adds that it may take those that remain."""
        return values * self.kept // PATTERN_GROUP

    def stored_bits(self, weights: int, weight_bits: int) -> int:
        """Of weights that it may take: what remains, and where it was."""
        kept = self.kept_of(weights)
        places = kept // BLOCK_SIDE**2 if self.is_blocked else kept
        return kept * weight_bits + places * self.index_bits


class AbstractBlockPattern(AbstractPattern):
    """A share of the blocks of `BLOCK_SIDE` x `BLOCK_SIDE` weights of every linear layer.

    Source: Xu et al., LPViT: Low-Power Semi-structured Pruning for Vision Transformers (2024).
    """

    index_bits: ClassVar[int] = BLOCK_INDEX_BITS
    kernel: ClassVar[str] = BLOCKS
    is_blocked: ClassVar[bool] = True


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
