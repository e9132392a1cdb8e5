"""What a tournament says: accuracy, latency, and which operators lose to another at every size."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import mean, stdev
from typing import Any

from nas.bench.entrants import PRECISIONS, Entrant
from nas.targets import Timing
from search_spaces import AbstractTask, CandidateError, Metric, Slot, signature_cost

MOST_NAMED = 3
"""Of the operators that one loses to, in tables for people; `--json` and results.json have all."""


@dataclass(frozen=True, kw_only=True)
class Timed:
    """A whole network at one size of images, in one format.

    Attributes:
        name: Of the entrant.
        side: Of the images, pixels.
        precision: The format.
        macs: Multiply-adds.
        params: Parameters.
        latency_ms: Median; None if it cannot be timed.
        failure: Why not.
    """

    name: str
    side: int
    precision: str
    macs: int
    params: int
    latency_ms: float | None
    failure: str = ""

    @staticmethod
    def of(
        name: str,
        side: int,
        precision: str,
        slots: Sequence[Slot],
        timing: Timing | CandidateError,
    ) -> "Timed":
        """With the declared costs of its slots."""
        costs = [signature_cost(slot.signature) for slot in slots]
        return Timed(
            name=name,
            side=side,
            precision=precision,
            macs=sum(cost.macs for cost in costs),
            params=sum(cost.params for cost in costs),
            latency_ms=timing.median_ms if isinstance(timing, Timing) else None,
            failure="" if isinstance(timing, Timing) else str(timing),
        )

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How an entrant did.

    Attributes:
        name: Of the entrant.
        alone: The task's metric of each network that was trained alone, one per seed.
        shared: The metric with weights of the supernet that has all entrants.
        timed: At every size and format.
        beaten_by: Entrants that are better by more than chance explains and no slower at any size.
    """

    name: str
    alone: tuple[float, ...]
    shared: float
    timed: tuple[Timed, ...]
    beaten_by: tuple[str, ...] = ()

    @property
    def mean(self) -> float:
        """Of the networks trained alone."""
        return mean(self.alone)

    @property
    def error(self) -> float:
        """Standard error of the mean; 0 of one seed."""
        return stdev(self.alone) / len(self.alone) ** 0.5 if len(self.alone) > 1 else 0.0

    def fastest_ms(self, side: int) -> float | None:
        """The faster of its formats."""
        found = [t.latency_ms for t in self.timed if t.side == side and t.latency_ms is not None]
        return min(found, default=None)

    @property
    def sides(self) -> tuple[int, ...]:
        """Sizes of images."""
        return tuple(dict.fromkeys(timed.side for timed in self.timed))

    def beats(self, other: "Standing", metric: Metric) -> bool:
        """Whether it is better than chance explains, and no slower at any size.

        Of one training each, what chance explains is not known.
        """
        if min(len(self.alone), len(other.alone)) < 2:
            return False
        ahead = metric.signed(other.mean) - metric.signed(self.mean)
        if ahead <= (self.error**2 + other.error**2) ** 0.5:
            return False
        for side in self.sides:
            own, theirs = self.fastest_ms(side), other.fastest_ms(side)
            if own is None or (theirs is not None and own > theirs):
                return False
        return True


@dataclass(frozen=True, kw_only=True)
class Standings:
    """Of all entrants, the best first.

    Attributes:
        metric: What says how good networks are.
        rows: A row per entrant.
    """

    metric: Metric
    rows: tuple[Standing, ...]

    @staticmethod
    def of(
        entrants: Sequence[Entrant],
        alone: Mapping[str, Sequence[Mapping[str, float]]],
        shared: Mapping[str, Mapping[str, float]],
        timed: Mapping[str, Sequence[Timed]],
        *,
        task: AbstractTask,
    ) -> "Standings":
        """From what was found of each, by name."""
        metric = task.shown
        rows = [
            Standing(
                name=entrant.name,
                alone=tuple(found[metric.name] for found in alone[entrant.name]),
                shared=shared[entrant.name][metric.name],
                timed=tuple(timed[entrant.name]),
            )
            for entrant in entrants
        ]
        return ranked(rows, metric)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Header and cells, for people."""
        sides = self.rows[0].sides
        header = ["operator", f"{self.metric.title} alone", "shared", f"MMACs at {sides[0]} px"]
        header += [f"ms {p} {side} px" for side in sides for p in PRECISIONS]
        header += ["loses to"]
        return header, [self._cells(row) for row in self.rows]

    def _cells(self, row: Standing) -> list[str]:
        metric, spread = self.metric, row.error * self.metric.factor
        alone = metric.text(row.mean) + (f" ± {spread:.1f}" if len(row.alone) > 1 else "")
        by_place = {(timed.side, timed.precision): timed for timed in row.timed}
        times = [by_place[side, p].latency_ms for side in row.sides for p in PRECISIONS]
        return [
            row.name,
            alone,
            metric.text(row.shared),
            f"{by_place[row.sides[0], PRECISIONS[0]].macs / 1e6:.2f}",
            *("-" if ms is None else f"{ms:.3f}" for ms in times),
            self.losses(row),
        ]

    def losses(self, row: Standing) -> str:
        """Those that one loses to, for people; "-" if that is not known."""
        rest = len(row.beaten_by) - MOST_NAMED
        more = f" and {rest} more" if rest > 0 else ""
        return ", ".join(row.beaten_by[:MOST_NAMED]) + more if len(row.alone) > 1 else "-"

    def to_json(self) -> dict[str, Any]:
        """Metric and rows."""
        return {
            "metric": self.metric.name,
            "rows": [{**asdict(row), "mean": row.mean, "error": row.error} for row in self.rows],
        }


def ranked(rows: Sequence[Standing], metric: Metric) -> Standings:
    """The best first, each with those that it loses to."""
    best_first = sorted(rows, key=lambda row: metric.signed(row.mean))
    judged = tuple(
        replace(row, beaten_by=tuple(o.name for o in best_first if o.beats(row, metric)))
        for row in best_first
    )
    return Standings(metric=metric, rows=judged)
