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
        brought_cost: Of the network that was brought.
        shared_N: Drops with shared weights, against the network as it was brought.
    """

    trials: list[Trial]
    costs_N: np.ndarray
    brought_cost: float
    shared_N: np.ndarray


def field_of(problem: Problem, trials: Sequence[Trial], gap: float = 0.0) -> Field:
    """Trials within all limits but that on the drop, without the network that was brought.

    Args:
        problem: Limits and costs.
        trials: Scored against the worse of what the network that was brought has.
        gap: What that is worse than with its own weights.
    """
    others = tuple(limit for limit in problem.limits if limit.metric != DROP)
    scored = [t for t in trials if t.failure is None and np.isfinite(t.get(DROP))]
    excess_N = replace(problem, limits=others).excesses(scored)
    able = [trial for trial, excess in zip(scored, excess_N, strict=True) if excess == 0.0]
    if not able:
        return Field([], np.zeros(0), 0.0, np.zeros(0))
    space, model = problem.space, problem.model
    brought = space.canonical([0] * len(space.choices))
    rows_NC = np.array([brought, *(trial.candidate.encoding for trial in able)])
    whole_NC = rows_NC
    if FULL_PRECISION in space.precisions:
        whole_NC = space.canonical_many(space.in_precision(rows_NC, FULL_PRECISION))
    drops_N = np.array([trial.get(DROP) for trial in able])
    losses_N = np.array([trial.get(problem.objectives[0].metric) for trial in able])
    costs_N = np.minimum(*(model.of("latency_ms", part_NC) for part_NC in (rows_NC, whole_NC)))
    unique = {tuple(whole_NC[0].tolist()): 0}
    for place in np.argsort(model.of("size_bytes", rows_NC), kind="stable").tolist():
        unique.setdefault(tuple(whole_NC[place].tolist()), place)
    places = [place - 1 for place in sorted(unique.values()) if place]
    shared_N = smoothed(drops_N, losses_N) + gap
    return Field(
        [able[i] for i in places], costs_N[1:][places], float(costs_N[0]), shared_N[places]
    )
