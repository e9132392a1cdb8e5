"""What is timed for a profile: single slots of every operator and precision, and whole networks."""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from search_spaces import SearchSpace, Slot

SIGNATURE_POOL = 400
"""Random candidates whose slots are the pool that signatures are chosen from."""

OVERHEAD = "overhead"
"""Name of the row that says what calling the runtime costs by itself."""

HELD_OUT_EVERY = 3
"""Of the whole networks, each third one is kept out of the fit to measure its error."""


@dataclass(frozen=True)
class Row:
    """One timed file.

    Attributes:
        name: "overhead" (a network that does nothing), "signature 12" or "network 3".
        slot: The single slot that was timed, or None.
        encoding: The whole network that was timed, or None.
        latency_ms: Median, milliseconds.
        is_held_out: Whether the fit must not see it.
        anchor_ms: What the anchor, a network that is timed with every batch of files, took in the
            same processes. Rows compare by their ratio to it: the speed of a shared machine changes
            from minute to minute.
    """

    name: str
    slot: Slot | None
    encoding: tuple[int, ...] | None
    latency_ms: float
    is_held_out: bool
    anchor_ms: float

    def to_json(self) -> dict[str, Any]:
        """One line of profile/rows.jsonl."""
        return {
            "name": self.name,
            "slot": self.slot.to_json() if self.slot else None,
            "encoding": self.encoding,
            "latency_ms": self.latency_ms,
            "is_held_out": self.is_held_out,
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
            document["is_held_out"] is True,
            anchor_ms,
        )


def at_one_speed(rows: Sequence[Row]) -> list[Row]:
    """The rows as if the anchor had always taken its median time."""
    level_ms = statistics.median(row.anchor_ms for row in rows)
    return [
        replace(row, latency_ms=row.latency_ms * level_ms / row.anchor_ms, anchor_ms=level_ms)
        for row in rows
    ]


def choose_signatures(space: SearchSpace, n: int, rng: np.random.Generator) -> list[Slot]:
    """`n` slots, dealt evenly over operators, precisions and map sizes that the space has.

    Sampled from random candidates, so frequent sizes are frequent.
    """
    groups: dict[tuple[str, str, int, int], dict[Slot, None]] = defaultdict(dict)
    for encoding in space.sample(rng, SIGNATURE_POOL):
        for slot in space.slots(encoding.tolist()):
            signature = slot.signature
            shift = signature.pick.get("shift", 0)
            key = (signature.operator, signature.precision, signature.shape.size, int(shift))
            groups[key][Slot(signature.operator, signature)] = None
    decks = [list(groups[key]) for key in sorted(groups)]
    for deck in decks:
        rng.shuffle(deck)
    chosen: list[Slot] = []
    while len(chosen) < n and any(decks):
        chosen += [deck.pop() for deck in decks if deck]
    return chosen[:n]


def choose_networks(space: SearchSpace, n: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """`n` whole networks: uniform fp32, uniform int8 and mixed in turn, over the range of MACs."""
    assert space.costs is not None
    pool = space.sample(rng, 64 * n)
    precision = space.columns("precision")
    order = np.argsort(space.costs.of("macs", pool), kind="stable")
    spread = pool[order[np.linspace(0, len(order) - 1, n).astype(int)]]
    num_formats = max((space.cardinalities[i] for i in precision), default=1)
    for number, encoding in enumerate(spread):
        kind = number % (num_formats + 1)
        if kind < num_formats:
            encoding[precision] = kind
    rng.shuffle(spread)
    return [space.canonical(encoding.tolist()) for encoding in spread]
