"""In which order trials deserve to be measured."""

import heapq
from collections.abc import Sequence

import numpy as np

from nas.problem.pareto import ranks
from nas.problem.problem import Problem
from nas.problem.trial import Trial


def finalist_order(problem: Problem, trials: Sequence[Trial]) -> list[Trial]:
    """Trials in the order in which they deserve to be measured.

    First the front, both ends and then ever finer steps along its latency, so that any number of
    first ones covers it; then the next best trials.
    """
    able = [trial for trial in trials if trial.failure is None]
    losses_NM = problem.within_limits(problem.losses(able), able)
    rank_N = ranks(losses_NM)
    order: list[Trial] = []
    for rank in np.unique(rank_N[np.isfinite(losses_NM).all(axis=1)]):
        front = [able[i] for i in np.flatnonzero(rank_N == rank)]
        ranked = sorted(front, key=lambda t: (t.get("latency_ms"), t.number))
        order += [ranked[i] for i in spread_order(len(ranked))]
    return order


def spread_order(n: int) -> list[int]:
    """0 .. n - 1, both ends first, then always the middle of the widest gap."""
    order = [0, n - 1][: min(n, 2)]
    gaps = [(1 - n, 0, n - 1)]
    while len(order) < n:
        _, left, right = heapq.heappop(gaps)
        middle = (left + right) // 2
        order.append(middle)
        for start, end in ((left, middle), (middle, right)):
            heapq.heappush(gaps, (start - end, start, end))
    return order
