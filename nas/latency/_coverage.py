"""What a profile has timed, and whether a space's slots lie within it.

A model predicts slots up to the largest that was timed, of each kind: below, slopes are at least 0
and a call's cost is known. It says a number for larger ones, too, but nothing that was measured
stands behind it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nas.latency._features import features
from nas.latency._rows import Row, kind_of
from search_spaces import SearchSpace, Slot

SLACK = 2.0
"""Slots up to twice as large as the largest that was timed are within."""

Largest = Mapping[str, Sequence[float]]
"""By kind of slot the largest of each of the model's features, of what was timed."""


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """What of a space's slots a profile covers.

    Attributes:
        slots: Distinct slots of the space.
        outside: How many of them are larger than those of their kind that were timed.
        missing: Kinds of which none was timed.
        outside_kinds: Kinds that the ones outside are of.
    """

    slots: int
    outside: int
    missing: tuple[str, ...]
    outside_kinds: tuple[str, ...]

    @staticmethod
    def of(space: SearchSpace, largest: Largest) -> "Coverage":
        """Compare the slots of a space with what was timed."""
        assert space.tables is not None
        signatures = [signature for signature in space.tables.signatures if signature is not None]
        signatures = list(dict.fromkeys(signatures))
        missing, outside = set(), []
        for signature in signatures:
            kind = kind_of(signature)
            if kind not in largest:
                missing.add(kind)
                continue
            values_F = features(Slot(signature.operator, signature))
            if (values_F > SLACK * np.asarray(largest[kind])).any():
                outside.append(kind)
        return Coverage(
            slots=len(signatures),
            outside=len(outside),
            missing=tuple(sorted(missing)),
            outside_kinds=tuple(sorted(set(outside))),
        )


def largest_timed(space: SearchSpace, rows: Iterable[Row]) -> dict[str, list[float]]:
    """What was timed, alone or in whole networks."""
    found: dict[str, np.ndarray] = {}
    for row in rows:
        for slot in row.slots(space):
            values_F, kind = features(slot), kind_of(slot.signature)
            found[kind] = np.maximum(found.get(kind, values_F), values_F)
    return {kind: values_F.tolist() for kind, values_F in found.items()}
