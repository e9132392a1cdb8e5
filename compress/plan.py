"""What a policy does to each slot, as a printable value. Pure: no weights, no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from search_spaces import DENSE, FULL_RANK, Slot, declaration, format_of, one_precision


@dataclass(frozen=True)
class SlotPlan:
    """One slot's part.

    Attributes:
        slot: Its name.
        operator: What fills it.
        groups: Prunable group, members before, members after.
        precision: A named format.
        pattern: A named sparsity pattern.
        rank: Share of the full rank of its layers.
    """

    slot: str
    operator: str
    groups: tuple[tuple[str, int, int], ...]
    precision: str
    pattern: str = DENSE
    rank: str = FULL_RANK

    def __str__(self) -> str:
        treatments = [] if self.rank == FULL_RANK else [f"rank {self.rank}"]
        treatments += [] if self.pattern == DENSE else [self.pattern]
        changed = (f"{group} {before} -> {after}" for group, before, after in self.groups)
        return ", ".join([f"{self.slot}: {self.operator} {self.precision}", *treatments, *changed])


@dataclass(frozen=True)
class Plan:
    """What happens to every slot, in the order data flows."""

    slots: tuple[SlotPlan, ...]

    @property
    def is_quantized(self) -> bool:
        """Whether any slot leaves full precision."""
        return any(format_of(slot.precision).is_quantized for slot in self.slots)

    @property
    def precision(self) -> str:
        """The one format of all slots, or "mixed"."""
        return one_precision(slot.precision for slot in self.slots)

    def __str__(self) -> str:
        return "\n".join(map(str, self.slots))


def plan_compression(arch: Sequence[Slot]) -> Plan:
    """The plan that resolved slots stand for."""
    return Plan(tuple(_slot_plan(slot) for slot in arch))


def _slot_plan(slot: Slot) -> SlotPlan:
    signature = slot.signature
    groups = declaration(signature.operator).groups(signature.pick, signature.shape)
    changes = tuple(
        (name, group.size, signature.kept.number(name)) for name, group in groups.items()
    )
    names = signature.precision, signature.pattern, signature.rank
    return SlotPlan(slot.name, signature.operator, changes, *names)
