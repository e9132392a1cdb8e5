"""In which order trials deserve to be measured."""

from collections.abc import Sequence
from itertools import pairwise

from nas.problem.pareto import ParetoFront
from nas.problem.problem import Problem
from nas.problem.trial import Trial


def finalist_order(problem: Problem, trials: Sequence[Trial]) -> list[Trial]:
    """Trials in the order in which they deserve to be measured.

    First the front, both ends and then ever finer steps along its latency, so that any number of
    first ones covers it; then the next best trials.
    """
    remaining = [trial for trial in trials if trial.failure is None]
    order: list[Trial] = []
    while remaining:
        front = ParetoFront.of(problem, remaining).trials
        if not front:
            break
        ranked = sorted(front, key=lambda t: (t.get("latency_ms"), t.number))
        order += [ranked[i] for i in spread_order(len(ranked))]
        taken = {trial.number for trial in front}
        remaining = [trial for trial in remaining if trial.number not in taken]
    return order


def spread_order(n: int) -> list[int]:
    """0 .. n - 1, both ends first, then always the middle of the widest gap."""
    order = [0, n - 1][: min(n, 2)]
    while len(order) < n:
        taken = sorted(order)
        _, left, right = max((b - a, -a, b) for a, b in pairwise(taken))
        order.append((right - left) // 2)
    return order
