"""What slots would cost on a device that has kernels for their sparsity patterns.

Not what files here have: they store zeros, and dense kernels multiply them.
"""

from collections.abc import Iterable
from typing import NamedTuple

from search_spaces._declarations import slot_cost
from search_spaces._slot import DENSE, Slot
from search_spaces.formats._base import format_of
from search_spaces.patterns._base import pattern_of


class Modelled(NamedTuple):
    """Modelled costs.

    Attributes:
        macs: Multiply-adds with weights that remain.
        spared_bytes: Of a file, if it stored these alone, with their positions.
    """

    macs: int
    spared_bytes: float


def modelled_cost(slot: Slot) -> Modelled:
    """Of one slot; a dense one spares nothing."""
    cost, format_ = slot_cost(slot), format_of(slot.signature.precision)
    pattern = pattern_of(slot.signature.pattern)
    taken = pattern.taken(cost)
    of_matrices, _, of_convolutions, _ = format_.bits
    spared_bits = sum(
        weights * bits - pattern.stored_bits(weights, bits)
        for weights, bits in (
            (taken.matrix_weights, of_matrices),
            (taken.weights - taken.matrix_weights, of_convolutions),
        )
    )
    return Modelled(
        cost.macs - taken.macs + pattern.kept_of(taken.macs),
        spared_bits / 8,
    )


def modelled_costs(slots: Iterable[Slot]) -> Modelled | None:
    """Of a network; None if all of it is dense."""
    slots = list(slots)
    if all(slot.signature.pattern == DENSE for slot in slots):
        return None
    macs, spared = zip(*map(modelled_cost, slots), strict=True)
    return Modelled(sum(macs), sum(spared))
