"""What is known of every slot beforehand, by name: what budgets may limit."""

from search_spaces._declarations import slot_cost
from search_spaces._modelled import modelled_cost
from search_spaces._slot import Slot
from search_spaces.formats._base import format_of

COST_METRICS = ("macs", "params", "size_bytes", "bit_ops")

MODELLED_MACS = "modelled_macs"
"""Multiply-adds with kernels for sparsity patterns; known where these are offered."""


def costs_of(slot: Slot) -> dict[str, float]:
    """`COST_METRICS` of a slot."""
    cost, precision = slot_cost(slot), format_of(slot.signature.precision)
    return {
        "macs": cost.macs,
        "params": cost.params,
        "size_bytes": precision.size_bytes(cost),
        "bit_ops": precision.bit_ops(cost),
    }


def modelled_costs_of(slot: Slot) -> dict[str, float]:
    """The same and `MODELLED_MACS`."""
    return costs_of(slot) | {MODELLED_MACS: modelled_cost(slot).macs}
