"""Candidates of a search with `--max-drop` that may be trained further."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nas.finalists.recovery import smoothed
from nas.problem.drop import DROP
from nas.problem.problem import Problem
from nas.problem.trial import Trial
from search_spaces import FULL_PRECISION


@dataclass(frozen=True)
class Field:
    """Candidates, none of which has the same network before quantization as another.

    Attributes:
        trials: Of those that differ in formats alone, the one of the smallest file: its network
            before quantization is measured, too.
        costs_N: Predicted latency, of the faster of both.
        shared_N: Drops with shared weights.
    """

    trials: list[Trial]
    costs_N: np.ndarray
    shared_N: np.ndarray


def field_of(problem: Problem, trials: Sequence[Trial]) -> Field:
    """Trials within all limits but that on the drop, without the network that was brought."""
    others = tuple(limit for limit in problem.limits if limit.metric != DROP)
    scored = [t for t in trials if t.failure is None and np.isfinite(t.get(DROP))]
    excess_N = replace(problem, limits=others).excesses(scored)
    able = [trial for trial, excess in zip(scored, excess_N, strict=True) if excess == 0.0]
    if not able:
        return Field([], np.zeros(0), np.zeros(0))
    space, model = problem.space, problem.model
    rows_NC = np.array([trial.candidate.encoding for trial in able])
    whole_NC = rows_NC
    if FULL_PRECISION in space.precisions:
        whole_NC = space.canonical_many(space.in_precision(rows_NC, FULL_PRECISION))
    drops_N = np.array([trial.get(DROP) for trial in able])
    losses_N = np.array([trial.get(problem.objectives[0].metric) for trial in able])
    costs_N = np.minimum(*(model.of("latency_ms", part_NC) for part_NC in (rows_NC, whole_NC)))
    unique: dict[tuple[int, ...], int] = {}
    for place in np.argsort(model.of("size_bytes", rows_NC), kind="stable").tolist():
        unique.setdefault(tuple(whole_NC[place].tolist()), place)
    unique.pop(tuple(space.canonical([0] * rows_NC.shape[1])), None)
    places = sorted(unique.values())
    shared_N = smoothed(drops_N, losses_N)
    return Field([able[i] for i in places], costs_N[places], shared_N[places])
