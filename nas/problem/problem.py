"""What a search is asked to do: what to improve, what must hold, what is known beforehand.

Everything behind this line sees losses, lower is better; the sign of a metric that is to be
maximised is flipped here and nowhere else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Any, Protocol

import numpy as np

from nas.problem.trial import Trial
from search_spaces import Goal, SearchSpace, UserError


@dataclass(frozen=True)
class Objective:
    """One number to improve."""

    metric: str
    goal: Goal


@dataclass(frozen=True)
class Limit:
    """What must hold: `metric <= max`.

    Attributes:
        metric: Its name, or a column of a table.
        max: In the metric's unit; the value itself is allowed.
        text: The budget as the user wrote it; "" if nobody did.
    """

    metric: str
    max: float
    text: str = field(default="", kw_only=True, compare=False)


@dataclass(frozen=True)
class Stop:
    """When to end; whichever comes first, None for no such end."""

    trials: int | None = None
    seconds: float | None = None


class CostModel(Protocol):
    """Metrics that are known without an evaluation, for many candidates at once."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names that `of` answers."""

    def of(self, metric: str, encodings_NC: np.ndarray) -> np.ndarray:
        """The metric of every encoding, shape (N,); equal for equal canonical forms."""


Expectation = Callable[[np.ndarray], np.ndarray]
"""Of encodings, (N, C), how much they are believed to lose, in any unit: (N,)."""


@dataclass(frozen=True)
class NothingKnown:
    """The cost model of a space about which nothing is known beforehand."""

    metrics: tuple[str, ...] = ()

    def of(self, metric: str, encodings_NC: np.ndarray) -> np.ndarray:
        """Never called: there are no metrics."""
        raise KeyError(metric)


@dataclass(frozen=True)
class KnownMetrics:
    """Everything known without an evaluation: exact costs and predicted latency."""

    parts: tuple[Any, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """All names."""
        return tuple(name for part in self.parts for name in part.metrics)

    def of(self, metric: str, encodings_NC: np.ndarray) -> np.ndarray:
        """The metric of every encoding, shape (N,)."""
        part = next(part for part in self.parts if metric in part.metrics)
        values: np.ndarray = part.of(metric, encodings_NC)
        return values


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What a controller needs to know besides the trials so far.

    Attributes:
        space: Where candidates come from.
        objectives: What to improve; at least one, each metric once.
        limits: What must hold.
        model: What is known without an evaluation.
        expected: What is believed of what is not known, before any trial; None for nothing. It may
            be wrong: trials say how much it is worth.
    """

    space: SearchSpace
    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...] = ()
    model: CostModel = NothingKnown()
    expected: Expectation | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        names = [objective.metric for objective in self.objectives]
        if not names or len(set(names)) != len(names):
            raise UserError(
                f"objectives are {names}. At least one is needed, and each metric only once."
            )

    @cached_property
    def modelled_limits(self) -> tuple[Limit, ...]:
        """The limits that can be checked before an evaluation."""
        return tuple(limit for limit in self.limits if limit.metric in self.model.metrics)

    def violations(self, encodings_NC: np.ndarray) -> np.ndarray:
        """By how much the modelled limits are exceeded, summed over limits.

        Returns:
            Shape (N,): fractions of the limit; 0.0 exactly where all hold, infinite where a cost
            is not a number.
        """
        total_N = np.zeros(len(encodings_NC))
        for limit in self.modelled_limits:
            total_N += _excess(self.model.of(limit.metric, encodings_NC), limit)
        return total_N

    def is_feasible(self, encodings_NC: np.ndarray) -> np.ndarray:
        """Which rows are within all modelled limits: booleans, shape (N,)."""
        return self.violations(encodings_NC) == 0.0

    def losses(self, trials: Sequence[Trial]) -> np.ndarray:
        """Objectives of the trials, lower is better: shape (N, M).

        A row is NaN throughout where the trial failed, is not measured yet, or has an objective
        that is not finite: half an answer must not look like a good one.
        """
        columns = [_values(objective.metric, trials) for objective in self.objectives]
        losses_NM = np.array(columns).reshape(len(columns), len(trials)).T
        has_failed_N = np.array([trial.failure is not None for trial in trials], dtype=bool)
        losses_NM[has_failed_N | ~np.isfinite(losses_NM).all(axis=1)] = np.nan
        return losses_NM * self._signs

    def within_limits(self, losses_NM: np.ndarray, trials: Sequence[Trial]) -> np.ndarray:
        """The losses of the trials, NaN where one is over a limit: such a trial is on no front."""
        return np.where(self.excesses(trials)[:, None] > 0.0, np.nan, losses_NM)

    def known_losses(self, encodings_NC: np.ndarray) -> np.ndarray:
        """Objectives that the model knows, lower is better: shape (N, M), NaN for the others."""
        losses_NM = np.full((len(encodings_NC), len(self.objectives)), np.nan)
        for column, objective in enumerate(self.objectives):
            if objective.metric in self.model.metrics:
                losses_NM[:, column] = self.model.of(objective.metric, encodings_NC)
        return losses_NM * self._signs

    def excesses(self, trials: Sequence[Trial]) -> np.ndarray:
        """By how much trials exceed all limits, measured ones included: shape (N,).

        Fractions of the limit, summed over limits; infinite where a limited metric is unknown.
        """
        total_N = np.zeros(len(trials))
        for limit in self.limits:
            total_N += _excess(_values(limit.metric, trials), limit)
        return total_N

    @cached_property
    def _signs(self) -> np.ndarray:
        return np.array([1.0 if o.goal == "minimize" else -1.0 for o in self.objectives])


def _values(metric: str, trials: Sequence[Trial]) -> np.ndarray:
    """`Trial.get` of all trials, without a call for every one that is measured: shape (N,)."""
    found = [measured.get(metric) for measured in map(attrgetter("metrics"), trials)]
    if None in found:
        found = [t.get(metric) if v is None else v for v, t in zip(found, trials, strict=True)]
    return np.array(found, float)


def _excess(values_N: np.ndarray, limit: Limit) -> np.ndarray:
    """`values - limit` as a fraction of the limit, 0.0 where it holds."""
    scale = abs(limit.max) or 1.0
    over_N = np.maximum(np.asarray(values_N, dtype=float) - limit.max, 0.0) / scale
    return np.where(np.isnan(over_N), np.inf, over_N)
