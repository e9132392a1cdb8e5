"""What is wrong or wasteful in a search space: for `nas space check`."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from nas.inspect.describe import count_text
from nas.problem.budget import format_value
from search_spaces import Resolution, SearchSpace, SlotTable

SAMPLES = 20_000
BARS, BAR_LENGTH = 10, 40
WIDTH_MULTIPLE = 8


@dataclass(frozen=True)
class Finding:
    """Something to mend.

    Attributes:
        choice: Name of the choice.
        problem: What is the matter.
        fix: What to do.
    """

    choice: str
    problem: str
    fix: str


@dataclass(frozen=True)
class Check:
    """A space, looked at.

    Attributes:
        name: Of the space.
        resolution: Height and width of the images in pixels, as they are written.
        num_encodings: Combinations of options.
        num_networks: Distinct networks among them.
        findings: Everything to mend.
        histogram: Multiply-adds of uniformly sampled networks: upper edge of each bar, share.
    """

    name: str
    resolution: Resolution
    num_encodings: int
    num_networks: int
    findings: tuple[Finding, ...]
    histogram: tuple[tuple[float, float], ...]

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"space '{self.name}' at {self.resolution} px",
            f"  {count_text(self.num_encodings)} encodings describe "
            f"{count_text(self.num_networks)} distinct networks: 1 in "
            f"{Decimal(self.num_encodings) / self.num_networks:.3g}, as the others are equivalent "
            "to one of them",
            "  multiply-adds of uniformly sampled networks, up to",
        ]
        longest = max(share for _, share in self.histogram)
        for edge, share in self.histogram:
            bar = "#" * round(BAR_LENGTH * share / longest)
            lines.append(f"  {format_value('macs', edge):>14}  {bar} {share:.1%}")
        lines += [f"  {f.choice}: {f.problem}. {f.fix}" for f in self.findings]
        lines.append(f"  {len(self.findings) or 'no'} problems found")
        return "\n".join(lines)


def check(space: SearchSpace) -> Check:
    """Looks at a space without policy choices."""
    assert space.network is not None
    return Check(
        name=space.name,
        resolution=space.network.resolution,
        num_encodings=math.prod(space.cardinalities),
        num_networks=space.size,
        findings=tuple(_findings(space)),
        histogram=_histogram(space),
    )


def _findings(space: SearchSpace) -> Iterator[Finding]:
    assert space.tables is not None
    for choice in space.choices:
        if choice.name.endswith(".width"):
            odd = [w for w in choice.options if isinstance(w, int) and w % WIDTH_MULTIPLE]
            if odd:
                yield Finding(
                    choice.name,
                    f"{_listed(odd)} do not divide by {WIDTH_MULTIPLE}, so vector units idle",
                    f"Offer multiples of {WIDTH_MULTIPLE}.",
                )
    for slot in space.tables.slots:
        yield from _slot_findings(space, slot)


def _slot_findings(space: SearchSpace, slot: SlotTable) -> Iterator[Finding]:
    """Own choices of a slot that never matter, and options that equal an earlier one everywhere."""
    is_there = slot.ids > 0
    is_first = is_there & (slot.canonical == np.arange(len(slot.ids)))
    for place, column in enumerate(slot.own):
        choice = space.choices[column]
        is_read = np.zeros(len(slot.ids), bool)
        for strides, rows in zip(slot.strides_PC, slot.rows(), strict=True):
            is_read[rows] = place == 0 or strides[len(slot.shared) + place] > 0
        if not (is_there & is_read).any():
            yield Finding(
                choice.name, "it is never active", "Remove it, or loosen what it depends on."
            )
            continue
        used = set(slot.options_KO[is_first & is_read, place].tolist())
        wasted = [option for index, option in enumerate(choice.options) if index not in used]
        if wasted:
            yield Finding(
                choice.name,
                f"{_listed(wasted)} always gives the same network as an earlier option",
                "Remove it.",
            )


def _histogram(space: SearchSpace) -> tuple[tuple[float, float], ...]:
    assert space.costs is not None
    macs_N = space.costs.of("macs", space.sample(np.random.default_rng(0), SAMPLES))
    low, high = space.costs.minimum("macs")[0], space.costs.maximum("macs")[0]
    edges = np.geomspace(low, high * (1 + 1e-9), BARS + 1)
    counts, _ = np.histogram(macs_N, edges)
    return tuple((float(e), float(n) / SAMPLES) for e, n in zip(edges[1:], counts, strict=True))


def _listed(options: list[Any]) -> str:
    return ", ".join(str(option) for option in options)
