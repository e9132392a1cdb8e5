"""Which trials are worth showing: dominance, fronts, and how much a front covers.

A row of losses dominates another if it is nowhere worse and somewhere better. Equal rows do not
dominate each other, so duplicates stand or fall together. Rows that are not finite are never on a
front and dominate nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import moocore
import numpy as np

from nas.problem.problem import Problem
from nas.problem.trial import Trial

FLATNESS = 1e-9
"""A knee must lie this much (of the front's span) below the flat, or rounding decides."""


def non_dominated(losses_NM: np.ndarray) -> np.ndarray:
    """Which rows no other row dominates: booleans, shape (N,).

    Source: Kung, Luccio, Preparata, On Finding the Maxima of a Set of Vectors (1975), for two
    objectives; elimination in lexicographic order for more.
    """
    is_finite_N = np.isfinite(losses_NM).all(axis=1)
    keep_N = np.zeros(len(losses_NM), dtype=bool)
    if not is_finite_N.any():
        return keep_N
    finite = np.flatnonzero(is_finite_N)
    order = finite[np.lexsort(losses_NM[finite].T[::-1])]
    rows_NM = losses_NM[order]
    is_new_N = np.ones(len(order), dtype=bool)
    is_new_N[1:] = (rows_NM[1:] != rows_NM[:-1]).any(axis=1)
    rows_UM = rows_NM[is_new_N]
    keep_U = _sweep(rows_UM) if rows_UM.shape[1] == 2 else _eliminate(rows_UM)
    keep_N[order] = keep_U[is_new_N.cumsum() - 1]
    return keep_N


def _sweep(rows_UM: np.ndarray) -> np.ndarray:
    """`non_dominated` of distinct rows of two objectives in lexicographic order."""
    second_U = rows_UM[:, 1]
    best_before_U = np.concatenate([[np.inf], np.minimum.accumulate(second_U)[:-1]])
    return np.asarray(second_U < best_before_U)


def _eliminate(rows_UM: np.ndarray) -> np.ndarray:
    """`non_dominated` of distinct rows in lexicographic order: later ones beat none."""
    keep_U = np.zeros(len(rows_UM), dtype=bool)
    left = np.arange(len(rows_UM))
    while left.size:
        keep_U[left[0]] = True
        is_beaten = (rows_UM[left] >= rows_UM[left[0]]).all(axis=1)
        left = left[~is_beaten]
    return keep_U


def ranks(losses_NM: np.ndarray) -> np.ndarray:
    """Number of fronts to peel off before a row is on one: integers, shape (N,).

    0 is the front. Rows that are not finite come last, one rank behind the worst finite row.

    Source: Goldberg (1989); Deb et al., NSGA-II (2002).
    """
    rank_N = np.zeros(len(losses_NM), dtype=int)
    left = np.flatnonzero(np.isfinite(losses_NM).all(axis=1))
    is_ranked_N = np.zeros(len(losses_NM), dtype=bool)
    is_ranked_N[left] = True
    rank = 0
    while left.size:
        is_front = non_dominated(losses_NM[left])
        rank_N[left] = rank
        rank_N[left[~is_front]] = rank + 1
        left = left[~is_front]
        rank += 1
    rank_N[~is_ranked_N] = rank
    return rank_N


def crowding_distances(losses_FM: np.ndarray) -> np.ndarray:
    """How much room the rows of one front have to themselves: shape (F,), larger is lonelier.

    Per objective the gap between both neighbours as a fraction of the front's span, summed;
    infinite for the ends. An objective in which all rows agree adds nothing.

    Source: Deb, Pratap, Agarwal, Meyarivan, NSGA-II (2002), section III-B.
    """
    distance_F = np.zeros(len(losses_FM))
    for column_F in losses_FM.T:
        order = np.argsort(column_F, kind="stable")
        span = column_F[order[-1]] - column_F[order[0]] if len(order) else 0.0
        if span <= 0.0:
            continue
        distance_F[order[1:-1]] += (column_F[order[2:]] - column_F[order[:-2]]) / span
        distance_F[order[[0, -1]]] = np.inf
    return distance_F


def hypervolume(losses_NM: np.ndarray, reference_M: np.ndarray) -> float:
    """Volume dominated by a set of points, up to a reference point.

    Exact.

    Args:
        losses_NM: One row per trial, lower is better. Need not be non-dominated.
        reference_M: Worse than every row that should count; rows beyond it add nothing.

    Returns:
        A volume in the product of the objectives' units; 0.0 for an empty set.

    Raises:
        ValueError: If the two arguments disagree on M, or any value is not finite.
    """
    losses_NM, reference_M = np.asarray(losses_NM, float), np.asarray(reference_M, float)
    if losses_NM.ndim != 2 or reference_M.shape != losses_NM.shape[1:]:
        raise ValueError(
            f"losses of shape {losses_NM.shape} and a reference point of shape "
            f"{reference_M.shape} do not agree on the number of objectives."
        )
    if not (np.isfinite(losses_NM).all() and np.isfinite(reference_M).all()):
        raise ValueError("hypervolume needs finite losses and a finite reference point.")
    counted_NM = losses_NM[(losses_NM < reference_M).all(axis=1)]
    return float(moocore.hypervolume(counted_NM, ref=reference_M)) if len(counted_NM) else 0.0


def knee(losses_FM: np.ndarray) -> int | None:
    """Index of the row that bulges most towards the ideal point, or None if none does.

    Losses are scaled to the front's span; the knee is farthest below the plane through the ends,
    which is the smallest sum. None if that row is the best in some objective: then the front has
    no bulge. Among equals the lexicographically first row, so the order of rows does not matter.

    Args:
        losses_FM: The rows of one front. Objectives that move together count as often as they
            appear: pass the two columns of a plot to get the knee of that plot.

    Source: Das, On Characterizing the "Knee" of the Pareto Curve (1999).
    """
    span_M = np.ptp(losses_FM, axis=0) if len(losses_FM) else np.zeros(0)
    if len(losses_FM) < 3 or not (span_M > 0.0).any():
        return None
    varying_FV = losses_FM[:, span_M > 0.0]
    scaled_FV = (varying_FV - varying_FV.min(axis=0)) / span_M[span_M > 0.0]
    sum_F = scaled_FV.sum(axis=1)
    is_end_F = (scaled_FV == 0.0).any(axis=1)
    is_knee_F = ~is_end_F & (sum_F < sum_F[is_end_F].min() - FLATNESS)
    if not is_knee_F.any():
        return None
    best = np.flatnonzero(is_knee_F & (sum_F <= sum_F[is_knee_F].min() + FLATNESS))
    return int(best[np.lexsort(losses_FM[best].T[::-1])[0]])


@dataclass(frozen=True, kw_only=True)
class ParetoFront:
    """The non-dominated trials within the limits.

    Attributes:
        problem: What was asked.
        trials: Best in the first objective first.
    """

    problem: Problem
    trials: tuple[Trial, ...]

    @staticmethod
    def of(problem: Problem, trials: Sequence[Trial]) -> "ParetoFront":
        """The front among any trials; failed, unmeasured and over-limit ones are never on it."""
        losses_NM = problem.within_limits(problem.losses(trials), trials)
        members = np.flatnonzero(non_dominated(losses_NM)).tolist()
        numbers = np.array([trials[i].number for i in members])
        order = np.lexsort((numbers, *losses_NM[members].T[::-1]))
        return ParetoFront(problem=problem, trials=tuple(trials[members[i]] for i in order))

    @cached_property
    def losses_NM(self) -> np.ndarray:
        """Objectives of the members, lower is better."""
        return self.problem.losses(self.trials)

    @property
    def knee(self) -> Trial | None:
        """The member that bulges most, or None: see `knee`."""
        index = knee(self.losses_NM)
        return None if index is None else self.trials[index]

    def hypervolume(self, reference_M: np.ndarray) -> float:
        """Volume dominated by the members: see `hypervolume`. `reference_M` holds losses."""
        return hypervolume(self.losses_NM, reference_M)
