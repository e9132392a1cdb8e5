"""What is timed for a profile: single slots of every operator and precision, and whole networks."""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from search_spaces import DENSE, SearchSpace, Signature, Slot, signature_cost
from search_spaces.channel_attentions._base import CHANNEL_ATTENTION
from search_spaces.norms._base import NORM

Group = tuple[str, str, tuple[int, int], tuple[int, int]]
"""Operator with its norm, precision, map size and shift of a slot."""

OVERHEAD = "overhead"
"""Name of the row that says what calling the runtime costs by itself."""

LEAST_OWN_SHARE = 0.2
"""A file takes at least this share of its time for itself, the rest being the call's."""


@dataclass(frozen=True)
class Row:
    """One timed file.

    Attributes:
        name: "overhead" (a network that does nothing), "signature 12" or "network 3".
        slot: The single slot that was timed, or None.
        encoding: The whole network that was timed, or None.
        latency_ms: Median, milliseconds.
        anchor_ms: What the anchor, a network that is timed with every batch of files, took in the
            same processes. Rows compare by their ratio to it: the speed of a shared machine changes
            from minute to minute.
    """

    name: str
    slot: Slot | None
    encoding: tuple[int, ...] | None
    latency_ms: float
    anchor_ms: float

    def slots(self, space: SearchSpace) -> Sequence[Slot]:
        """What the file consists of; nothing if it does nothing."""
        if self.encoding is not None:
            return space.slots(self.encoding)
        return [] if self.slot is None else [self.slot]

    def own_ms(self, overhead_ms: float) -> float:
        """Its time without what calling the runtime takes, milliseconds."""
        return max(self.latency_ms - overhead_ms, LEAST_OWN_SHARE * self.latency_ms)

    def to_json(self) -> dict[str, Any]:
        """One line of profile/rows.jsonl."""
        return {
            "name": self.name,
            "slot": self.slot.to_json() if self.slot else None,
            "encoding": self.encoding,
            "latency_ms": self.latency_ms,
            "anchor_ms": self.anchor_ms,
        }

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> "Row":
        """The inverse of `to_json`."""
        slot, encoding = document["slot"], document["encoding"]
        latency_ms, anchor_ms = float(document["latency_ms"]), float(document["anchor_ms"])
        if not (0 < latency_ms < math.inf and 0 < anchor_ms < math.inf):
            raise ValueError(f"{latency_ms} ms beside {anchor_ms} ms are no latencies")
        return Row(
            document["name"],
            Slot.from_json(slot) if slot else None,
            tuple(map(int, encoding)) if encoding else None,
            latency_ms,
            anchor_ms,
        )


def overhead_of(rows: Sequence[Row]) -> float:
    """What calling the runtime takes, milliseconds; 0 where that was not timed."""
    return next((row.latency_ms for row in rows if row.name == OVERHEAD), 0.0)


def at_one_speed(rows: Sequence[Row]) -> list[Row]:
    """The rows as if the anchor had always taken its median time."""
    level_ms = statistics.median(row.anchor_ms for row in rows)
    return [
        replace(row, latency_ms=row.latency_ms * level_ms / row.anchor_ms, anchor_ms=level_ms)
        for row in rows
    ]


def choose_signatures(
    space: SearchSpace, pool_NC: np.ndarray, n: int, rng: np.random.Generator
) -> list[Slot]:
    """`n` slots of these networks, dealt evenly over operators, precisions and map sizes.

    Every operator in every precision comes before any of them comes with another map size.
    """
    groups: dict[Group, dict[Slot, None]] = defaultdict(dict)
    for encoding in pool_NC.tolist():
        for slot in space.slots(encoding):
            signature = replace(slot.signature, pattern=DENSE)  # whose kernels run
            if not signature_cost(signature).calls:
                continue  # no kernel runs, so there is nothing to time
            size, shift = signature.shape.size, _shift(signature)
            key = (_named(signature), signature.precision, size, shift)
            groups[key][Slot(signature.operator, signature)] = None
    decks = [list(groups[key]) for key in _in_turn(groups, rng)]
    for deck in decks:
        rng.shuffle(deck)
    chosen: list[Slot] = []
    while len(chosen) < n and any(decks):
        chosen += [deck.pop() for deck in decks if deck]
    return chosen[:n]


def _in_turn(groups: Mapping[Group, Mapping[Slot, None]], rng: np.random.Generator) -> list[Group]:
    """The groups in random order, but one of each kind first, then another one of each."""
    ordered = sorted(groups)
    turns: Counter[str] = Counter()
    in_turn = []
    for place, i in enumerate(rng.permutation(len(ordered))):
        kind = kind_of(next(iter(groups[ordered[i]])).signature)
        in_turn.append((turns[kind], place, ordered[i]))
        turns[kind] += 1
    return [group for _, _, group in sorted(in_turn)]


def kind_of(signature: Signature) -> str:
    """Slots whose times share one set of slopes: "window shifted int8", "basic evonorm-s0 fp32"."""
    shifted = "shifted" if any(_shift(signature)) else ""
    words = (_named(signature), shifted, signature.precision)
    return " ".join(word for word in words if word)


def _shift(signature: Signature) -> tuple[int, int]:
    """Of attention's windows, down and right; none of what has no windows."""
    return signature.pick.sides("shift") if "shift" in signature.pick else (0, 0)


def _named(signature: Signature) -> str:
    """The operator, and its channel attention and norm unless they are the default."""
    words = (signature.pick.get(dim) for dim in (CHANNEL_ATTENTION, NORM))
    return " ".join([signature.operator, *(str(word) for word in words if word)])


def choose_networks(
    space: SearchSpace, pool_NC: np.ndarray, n: int, rng: np.random.Generator
) -> list[tuple[int, ...]]:
    """`n` of these networks over their range of MACs: uniform in each format or mixed, in turn."""
    assert space.costs is not None
    precision = space.columns("precision")
    order = np.argsort(space.costs.of("macs", pool_NC), kind="stable")
    spread = pool_NC[order[np.linspace(0, len(order) - 1, n).astype(int)]]
    num_formats = max((space.cardinalities[i] for i in precision), default=1)
    for number, encoding in enumerate(spread):
        kind = number % (num_formats + 1)
        if kind < num_formats:
            encoding[precision] = kind
    rng.shuffle(spread)
    return [space.canonical(encoding.tolist()) for encoding in spread]
