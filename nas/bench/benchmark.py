"""`nas bench controllers`: how much of a table's front controllers find after so many evaluations.

Every search starts from nothing and asks for one candidate at a time. A look-up takes no time, so
what is measured is the controller alone: the hypervolume of what it has evaluated, as a share of
that of the whole table, and the time that it takes to ask.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from nas.bench.table import Table, TableCosts
from nas.controllers import (
    CONTROLLERS,
    AbstractController,
    check_installed,
    installed_controllers,
)
from nas.problem.pareto import hypervolume, non_dominated
from nas.problem.problem import Limit, Objective, Problem
from nas.problem.trial import Trial
from search_spaces import UserError


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A search problem on a table, and what counts.

    Attributes:
        table: Evaluated networks.
        objectives: What to improve: columns of the table.
        reference: Per objective the value at which it stops to count, in the column's unit.
        limits: What must hold: columns of the table.
        known: Columns that are known without an evaluation.
        noise: Column with the standard deviation of what an evaluation says about the first
            objective; "" for none. The hypervolume is that of the table's values.
    """

    table: Table
    objectives: tuple[Objective, ...]
    reference: tuple[float, ...]
    limits: tuple[Limit, ...] = ()
    known: tuple[str, ...] = ()
    noise: str = ""

    def check(self) -> None:
        """Refuse what no search could be measured on.

        Raises:
            UserError: If there is no objective, or one twice, a column that is used is infinite
                somewhere, or nothing beats the reference.
        """
        used = [*(o.metric for o in self.objectives), *(limit.metric for limit in self.limits)]
        for name in (*used, *self.known, *([self.noise] if self.noise else [])):
            self.table.check_finite(name)
        assert self.problem
        assert self.volume > 0.0

    @cached_property
    def problem(self) -> Problem:
        """What controllers are given."""
        costs = TableCosts(self.table, self.known)
        return Problem(
            space=self.table.space,
            objectives=self.objectives,
            limits=self.limits + costs.limits,
            model=costs,
        )

    @cached_property
    def losses_NM(self) -> np.ndarray:
        """Objectives of every row as losses; NaN where it failed or is beyond a limit."""
        losses_NM = np.stack(
            [_sign(o) * self.table.column(o.metric) for o in self.objectives], axis=1
        )
        for limit in self.limits:
            losses_NM[~(self.table.column(limit.metric) <= limit.max)] = np.nan
        return losses_NM

    @cached_property
    def reference_M(self) -> np.ndarray:
        """The reference as losses."""
        return np.array(
            [_sign(o) * r for o, r in zip(self.objectives, self.reference, strict=True)]
        )

    @cached_property
    def volume(self) -> float:
        """Hypervolume of the whole table.

        Raises:
            UserError: If no row is better than the reference within the limits.
        """
        volume = self.hypervolume(range(len(self.table)))
        if volume <= 0.0:
            raise UserError(
                f"no row of table '{self.table.path}' is better than the reference "
                f"{self.reference} in every objective and within the limits. Move the reference."
            )
        return volume

    @cached_property
    def front(self) -> np.ndarray:
        """The table's own front: distinct losses, shape (F, M)."""
        return np.unique(self.losses_NM[non_dominated(self.losses_NM)], axis=0)

    def hypervolume(self, rows: Sequence[int]) -> float:
        """Of some rows."""
        losses_NM = self.losses_NM[list(rows)]
        return hypervolume(losses_NM[np.isfinite(losses_NM).all(axis=1)], self.reference_M)

    def front_found(self, rows: Sequence[int]) -> float:
        """Share of the table's own front that some rows hold."""
        found = {tuple(losses) for losses in self.losses_NM[list(rows)].tolist()}
        return sum(tuple(losses) in found for losses in self.front.tolist()) / len(self.front)

    def evaluated(self, row: int, number: int, seed: int) -> Trial:
        """The trial that evaluating a row of the table gives."""
        names = dict.fromkeys([o.metric for o in self.objectives] + [x.metric for x in self.limits])
        values = {name: float(self.table.column(name)[row]) for name in names}
        if self.noise:
            rng = np.random.default_rng([seed, row])
            spread = float(self.table.column(self.noise)[row])
            values[self.objectives[0].metric] += spread * float(rng.standard_normal())
        candidate = self.table.space.candidate(self.table.rows_NC[row].tolist())
        has_failed = any(np.isnan(value) for value in values.values())
        return Trial(
            number=number,
            candidate=candidate,
            metrics={} if has_failed else values,
            predicted={name: values[name] for name in values if name in self.known},
            failure="no value in the table" if has_failed else None,
        )


@dataclass(frozen=True)
class Outcome:
    """One search.

    Attributes:
        rows: Positions in the table in the order of evaluation; all different.
        ask_ms: Mean time of an ask.
    """

    rows: tuple[int, ...]
    ask_ms: float


Ask = Callable[[Problem, Sequence[Trial], int], Sequence[Any]]


def run_search(benchmark: Benchmark, ask: Ask, *, evaluations: int, seed: int) -> Outcome:
    """Asks and evaluates one candidate after the other; ends early if none is left.

    Args:
        benchmark: The problem and the table.
        ask: As `AbstractController.ask`.
        evaluations: How many.
        seed: Of the noise.
    """
    trials: list[Trial] = []
    rows: list[int] = []
    seconds = 0.0
    while len(trials) < evaluations:
        start = time.perf_counter()
        candidates = ask(benchmark.problem, trials, 1)
        seconds += time.perf_counter() - start
        if not candidates:
            break
        (row,) = benchmark.table.positions(np.array([candidates[0].encoding])).tolist()
        assert row >= 0, "a controller left the table"
        assert row not in rows, "a controller repeated itself"
        rows.append(row)
        trials.append(benchmark.evaluated(row, len(trials), seed))
    return Outcome(tuple(rows), 1e3 * seconds / max(1, len(rows)))


@dataclass(frozen=True)
class Record:
    """All searches of one controller.

    Attributes:
        shares: Share of the table's hypervolume, by number of evaluations: one per seed.
        front_found: Mean share of the table's front after the last evaluation.
        ask_ms: Mean time of an ask, in milliseconds.
    """

    shares: Mapping[int, tuple[float, ...]]
    front_found: float
    ask_ms: float

    def to_json(self) -> dict[str, Any]:
        """As `nas bench controllers --json` prints it."""
        return {
            "hypervolume": {
                str(number): {"mean": mean(found), "stderr": stderr(found), "seeds": list(found)}
                for number, found in self.shares.items()
            },
            "front_found": self.front_found,
            "ask_ms": self.ask_ms,
        }


def measure(
    benchmark: Benchmark, controller: AbstractController, *, evaluations: Sequence[int], seeds: int
) -> Record:
    """Searches with seeds 0 to `seeds` - 1.

    Args:
        benchmark: The problem and the table.
        controller: With any seed.
        evaluations: Numbers of evaluations after which the hypervolume is taken.
        seeds: How many searches.
    """
    outcomes = [
        run_search(
            benchmark,
            replace(controller, seed=seed).ask,  # type: ignore[type-var]
            evaluations=max(evaluations),
            seed=seed,
        )
        for seed in range(seeds)
    ]
    return record_of(benchmark, outcomes, evaluations)


def record_of(
    benchmark: Benchmark, outcomes: Sequence[Outcome], evaluations: Sequence[int]
) -> Record:
    """What searches found."""
    return Record(
        {
            number: tuple(
                benchmark.hypervolume(o.rows[:number]) / benchmark.volume for o in outcomes
            )
            for number in sorted(set(evaluations))
        },
        mean([benchmark.front_found(outcome.rows) for outcome in outcomes]),
        mean([outcome.ask_ms for outcome in outcomes]),
    )


def table_of(records: Mapping[str, Record]) -> tuple[list[str], list[list[str]]]:
    """Header and one row of text per controller; all with the same numbers of evaluations."""
    numbers = next(iter(records.values())).shares
    header = ["controller", *(f"after {number}" for number in numbers), "front found", "ask"]
    rows = []
    for name, record in records.items():
        shares = [f"{mean(found):.3f} ± {stderr(found):.3f}" for found in record.shares.values()]
        rows.append([name, *shares, f"{record.front_found:.0%}", f"{record.ask_ms:.1f} ms"])
    return header, rows


def controllers_of(names: Sequence[str]) -> dict[str, AbstractController]:
    """Controllers with their default settings, by name; all that are installed if none is named.

    Raises:
        UserError: If one does not exist, or is not installed.
    """
    for name in names:
        check_installed(name)
    return {name: CONTROLLERS.get(name)() for name in names or installed_controllers()}


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean."""
    return float(np.mean(values))


def stderr(values: Sequence[float]) -> float:
    """Standard error of the mean; 0.0 for a single value."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def _sign(objective: Objective) -> float:
    return 1.0 if objective.goal == "minimize" else -1.0
