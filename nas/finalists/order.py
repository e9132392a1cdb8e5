"""In which order trials deserve to be measured."""

import heapq
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nas.problem.drop import DROP
from nas.problem.pareto import hypervolume, ranks
from nas.problem.problem import Problem
from nas.problem.trial import Trial

NEARLY = 0.02
"""Of a front's span: losses that differ by less count as equal where the best is chosen. Scores of
shared weights and predictions of latency are not more exact."""

MARGIN = 0.1
"""Of a front's span: so far beyond its worst losses is the reference point."""

MOST = 64
"""Networks whose order matters: more are hardly ever measured."""


def finalist_order(problem: Problem, trials: Sequence[Trial]) -> list[Trial]:
    """Trials in the order in which they deserve to be measured.

    The front first, as `covering_order` has it, then the next best trials likewise. In the end
    those that alone lose too much against the network that was brought, the least first: what they
    lose with shared weights they may not lose once they are trained further.
    """
    able = [trial for trial in trials if trial.failure is None]
    within = _by_rank(problem, able)
    others = replace(problem, limits=tuple(x for x in problem.limits if x.metric != DROP))
    if others.limits == problem.limits:
        return within
    known = {trial.number for trial in within}
    excess_N = others.excesses(able)
    rest = [t for t, excess in zip(able, excess_N, strict=True) if excess == 0.0]
    rest = [t for t in rest if t.number not in known and np.isfinite(t.get(DROP))]
    return within + sorted(rest, key=lambda trial: trial.get(DROP))


def _by_rank(problem: Problem, able: list[Trial]) -> list[Trial]:
    losses_NM = problem.within_limits(problem.losses(able), able)
    rank_N = ranks(losses_NM)
    order: list[Trial] = []
    for rank in np.unique(rank_N[np.isfinite(losses_NM).all(axis=1)]):
        front = np.flatnonzero(rank_N == rank)
        most = max(0, MOST - len(order))
        order += [able[front[i]] for i in covering_order(losses_NM[front], most)]
    return order


def covering_order(losses_FM: np.ndarray, most: int = MOST) -> list[int]:
    """Rows of one front, so that any number of the first ones stands for all of it.

    First the best in the second objective and in the first one (with the usual objectives: the
    fastest and the most accurate), then always the row that adds most hypervolume to those before
    it, on logarithmic scales where all losses are positive: halving a latency is worth the same
    everywhere. That is never worse than 0.63 of the best choice of two rows fewer.

    Args:
        losses_FM: Lower is better, finite.
        most: After so many rows the order is that of the array.

    Source: Guerreiro, Fonseca, Paquete, Greedy Hypervolume Subset Selection in Low Dimensions
    (2016); gains are looked up as in Minoux, Accelerated Greedy Algorithms (1978). The two ends are
    ours.
    """
    scaled_FM = np.log(losses_FM) if (losses_FM > 0).all() else losses_FM
    span_M = np.ptp(scaled_FM, axis=0)
    scaled_FM = (scaled_FM - scaled_FM.min(axis=0)) / np.where(span_M > 0, span_M, 1.0)
    reference_M = np.full(scaled_FM.shape[1], 1.0 + MARGIN)

    def volume(rows: list[int]) -> float:
        return hypervolume(scaled_FM[rows], reference_M)

    order: list[int] = []
    for column in (1, 0)[-scaled_FM.shape[1] :]:
        near = set(np.flatnonzero(scaled_FM[:, column] <= NEARLY).tolist()) - set(order)
        if near and len(order) < most:
            order.append(max(near, key=lambda row: (volume([row]), -row)))
    gains = [(-np.inf, 0, row) for row in range(len(scaled_FM)) if row not in order]
    while gains and len(order) < most:
        _, known_at, row = heapq.heappop(gains)
        if known_at == len(order):
            order.append(row)
        else:  # gains only shrink, so an old one is the most that it can be
            heapq.heappush(gains, (volume(order) - volume([*order, row]), len(order), row))
    return order + sorted(row for _, _, row in gains)
