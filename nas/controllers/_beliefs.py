"""What the trials so far let one expect of a network that was not measured: the predictor's side
that learns.

Losses are warped before they are predicted. The unit is the spread of the middle half of what was
seen; what is worse than the median is on a logarithmic scale: networks that learn nothing must not
decide what is expected of the others. Where the problem expects something before any trial, the
processes learn what is left of the warped losses beside a straight line in that.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.special import ndtr
from scipy.stats import kendalltau

from nas.controllers._gaussian_process import (
    GaussianProcess,
    Kernel,
    features_of,
    fit_kernel,
)
from nas.controllers._variation import encodings_of, selection_order
from nas.problem.problem import Problem
from nas.problem.trial import Trial
from search_spaces import SearchSpace

REMEMBERED, LEARNT_FROM = 400, 200
"""Trials that predictions are based on, and trials that the kernels are learnt from, at most."""
REFIT = 1.1
"""Kernels are learnt anew when there are this many times as many trials."""
NORMAL_INTERVAL = 1.6448536269514722
"""Half width, in standard deviations, of the interval that holds in 90 % of the cases."""


@dataclass(frozen=True)
class Warp:
    """A monotone scale for one loss."""

    centre: float
    unit: float

    @staticmethod
    def of(values_N: np.ndarray) -> "Warp":
        """The scale on which the middle half of the values has the spread of a normal's."""
        low, centre, high = np.quantile(values_N, [0.25, 0.5, 0.75])
        spread = (high - low) / 1.349 or float(np.std(values_N)) or 1.0
        return Warp(float(centre), float(spread))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Units above the median."""
        units = (np.asarray(values, float) - self.centre) / self.unit
        return np.where(units > 0.0, np.log1p(np.maximum(units, 0.0)), units)


@dataclass(frozen=True)
class Prediction:
    """One metric: its scale and its posterior.

    Attributes:
        metric: Its name.
        warp: To the scale that is predicted.
        process: Of what is left of it without its trend.
        slope: Of the trend, by what the problem expects.
        trend_N: Of the networks that the process knows.
    """

    metric: str
    warp: Warp
    process: GaussianProcess
    slope: float
    trend_N: np.ndarray


@dataclass(frozen=True)
class Beliefs:
    """Predictions of everything that is not known beforehand.

    Attributes:
        problem: What is searched for.
        warps: Of every objective's loss.
        objectives: By column, of those that are not known.
        limits: Measured limit (warped) and prediction, for each.
        success: Prediction of 1 for a network that can be evaluated; None if all could.
        losses_NM: Warped losses of what was measured within the limits.
    """

    problem: Problem
    warps: tuple[Warp, ...]
    objectives: dict[int, Prediction]
    limits: tuple[tuple[float, Prediction], ...]
    success: GaussianProcess | None
    losses_NM: np.ndarray

    def losses(self, encodings_KC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Warped losses and their standard deviations, shape (K, M) each; 0 where known."""
        mean_KM = self.problem.known_losses(encodings_KC)
        std_KM = np.zeros_like(mean_KM)
        rows_KF = _features(self.problem.space, encodings_KC)
        expected_K = _expected(self.problem, encodings_KC)
        for column, warp in enumerate(self.warps):
            if column in self.objectives:
                prediction = self.objectives[column]
                mean_K, std_KM[:, column] = prediction.process.predict(rows_KF)
                mean_KM[:, column] = mean_K + prediction.slope * expected_K
            else:
                mean_KM[:, column] = warp(mean_KM[:, column])
        return mean_KM, std_KM

    def chance(self, encodings_KC: np.ndarray) -> np.ndarray:
        """Probability of an evaluation that does not fail and is within all limits: (K,)."""
        chance_K = np.ones(len(encodings_KC))
        if self.success is None and not self.limits:
            return chance_K
        rows_KF = _features(self.problem.space, encodings_KC)
        if self.success is not None:
            mean_K, std_K = self.success.predict(rows_KF)
            chance_K *= ndtr((mean_K - 0.5) / np.hypot(std_K, 0.25))
        expected_K = _expected(self.problem, encodings_KC)
        for most, prediction in self.limits:
            mean_K, std_K = prediction.process.predict(rows_KF)
            mean_K = mean_K + prediction.slope * expected_K
            chance_K *= ndtr((most - mean_K) / np.maximum(std_K, 1e-9))
        return chance_K

    def believing(self, encodings_KC: np.ndarray) -> "Beliefs":
        """As if these had been measured and were as predicted."""
        if len(encodings_KC) == 0:
            return self
        rows_KF = _features(self.problem.space, encodings_KC)
        mean_KM, _ = self.losses(encodings_KC)
        expected_K = _expected(self.problem, encodings_KC)
        return replace(
            self,
            objectives={
                column: replace(
                    p,
                    process=p.process.believing(rows_KF),
                    trend_N=np.concatenate([p.trend_N, p.slope * expected_K]),
                )
                for column, p in self.objectives.items()
            },
            losses_NM=np.concatenate([self.losses_NM, mean_KM]),
        )

    def evidence(self) -> dict[str, dict[str, float]]:
        """How well every predicted metric is predicted from the other trials, each left out once.

        Returns:
            By metric: "kendall_tau" between predicted and measured, and "coverage", the share of
            measurements within their 90 % interval.
        """
        predictions = [*self.objectives.values(), *(p for _, p in self.limits)]
        return {p.metric: _left_out(p) for p in predictions}


def beliefs_of(problem: Problem, trials: Sequence[Trial], warm_up: int) -> Beliefs:
    """Learns from the trials that are finished; those being evaluated are taken for as predicted.

    Args:
        problem: Says what is measured and what is better.
        trials: At least two of them measured.
        warm_up: Number of measured trials with which kernels are learnt for the first time.
    """
    losses_NM = problem.losses(trials)
    is_measured_N = np.isfinite(losses_NM).all(axis=1)
    measured = list(itertools.compress(trials, is_measured_N))
    losses_NM = losses_NM[is_measured_N]
    ranked_NM = problem.within_limits(losses_NM, measured)
    kept = _kept(ranked_NM, REMEMBERED)
    old = _milestone(len(measured), warm_up)
    learnt = np.array(_kept(ranked_NM[:old], LEARNT_FROM))
    space = problem.space
    encodings_NC = encodings_of(space, measured)
    expected_N = _expected(problem, encodings_NC)

    def predicted(metric: str, values_N: np.ndarray) -> Prediction:
        """A prediction of values that are finite."""
        warp = Warp.of(values_N)
        order = kept[np.lexsort(encodings_NC[kept].T[::-1])]
        early = learnt[np.lexsort(encodings_NC[learnt].T[::-1])]
        early_N = Warp.of(values_N[:old])(values_N[early])  # the same until the next milestone
        early_N = early_N - _slope(expected_N[early], early_N) * expected_N[early]
        kernel = _kernel(space, _bytes(encodings_NC[early]), _bytes(early_N))
        rows_NF, warped_N = _features(space, encodings_NC[order]), warp(values_N)[order]
        slope = _slope(expected_N[order], warped_N)
        trend_N = slope * expected_N[order]
        process = GaussianProcess.of(kernel, rows_NF, warped_N - trend_N)
        return Prediction(metric, warp, process, slope, trend_N)

    objectives = {
        column: predicted(objective.metric, losses_NM[:, column])
        for column, objective in enumerate(problem.objectives)
        if objective.metric not in problem.model.metrics
    }
    limits = []
    for limit in problem.limits:
        values_N = np.array([trial.get(limit.metric) for trial in measured])
        if limit not in problem.modelled_limits and np.isfinite(values_N).all():
            prediction = predicted(limit.metric, values_N)
            limits.append((float(prediction.warp(np.array(limit.max))), prediction))
    warps = tuple(
        objectives[m].warp if m in objectives else Warp.of(losses_NM[:, m])
        for m in range(losses_NM.shape[1])
    )
    within_NM = ranked_NM[kept][np.isfinite(ranked_NM[kept]).all(axis=1)]
    warped_NM = np.stack([w(within_NM[:, m]) for m, w in enumerate(warps)], axis=1)
    beliefs = Beliefs(
        problem, warps, objectives, tuple(limits), _success(problem, trials), warped_NM
    )
    waiting = [t.candidate.encoding for t in trials if not t.is_finished]
    return beliefs.believing(np.array(sorted(waiting), dtype=int).reshape(-1, len(space.choices)))


def _kept(losses_NM: np.ndarray, most: int) -> np.ndarray:
    """Positions of at most that many rows in their order: half the best, half the latest."""
    if len(losses_NM) <= most:
        return np.arange(len(losses_NM))
    latest = np.arange(len(losses_NM) - most // 2, len(losses_NM))
    others = selection_order(losses_NM)
    best = others[others < latest[0]][: most - most // 2]
    return np.sort(np.concatenate([best, latest]))


def _milestone(num_trials: int, warm_up: int) -> int:
    """The number of trials, up to the one given, at which kernels were learnt last."""
    number = min(warm_up, num_trials)
    while (following := math.ceil(REFIT * number)) <= num_trials:
        number = following
    return number


def _success(problem: Problem, trials: Sequence[Trial]) -> GaussianProcess | None:
    """Predicts 1 for trials that have been evaluated and 0 for failed ones; None if none failed."""
    losses_NM = problem.losses(trials)
    is_finite_N = np.isfinite(losses_NM).all(axis=1)
    latest = [
        (trial.candidate.encoding, bool(is_finite))
        for trial, is_finite in zip(trials, is_finite_N, strict=True)
        if trial.is_finished
    ][-REMEMBERED:]
    finished = sorted(latest)
    outcome_N = np.array([is_good for _, is_good in finished], dtype=float)
    if outcome_N.all() or not outcome_N.any():
        return None
    encodings_NC = np.array([encoding for encoding, _ in finished])
    rng = np.random.default_rng(0)
    some = np.sort(rng.permutation(len(finished))[:LEARNT_FROM])
    kernel = _kernel(problem.space, _bytes(encodings_NC[some]), _bytes(outcome_N[some]))
    return GaussianProcess.of(kernel, _features(problem.space, encodings_NC), outcome_N)


def _expected(problem: Problem, encodings_NC: np.ndarray) -> np.ndarray:
    """What the problem expects of encodings, (N,); zeros if it expects nothing."""
    if problem.expected is None or not len(encodings_NC):
        return np.zeros(len(encodings_NC))
    return problem.expected(encodings_NC)


def _slope(expected_N: np.ndarray, target_N: np.ndarray) -> float:
    """By which what is expected explains most; 0 where it explains nothing, or the contrary."""
    apart_N = expected_N - expected_N.mean()
    squares = float(apart_N @ apart_N)
    return max(0.0, float(apart_N @ (target_N - target_N.mean())) / squares) if squares else 0.0


def _left_out(prediction: Prediction) -> dict[str, float]:
    process, trend_N = prediction.process, prediction.trend_N
    target_N = process.target_N + trend_N
    mean_N, std_N = process.left_out()
    mean_N = mean_N + trend_N
    tau = float(kendalltau(mean_N, target_N).statistic)
    is_held_N = np.abs(mean_N - target_N) <= NORMAL_INTERVAL * std_N
    return {
        "kendall_tau": tau if math.isfinite(tau) else 0.0,
        "coverage": float(is_held_N.mean()),
    }


def _features(space: SearchSpace, encodings_NC: np.ndarray) -> np.ndarray:
    return features_of(space)(encodings_NC, space.is_active(encodings_NC))


def _bytes(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array).tobytes()


@lru_cache(maxsize=32)
def _kernel(space: SearchSpace, encodings: bytes, targets: bytes) -> Kernel:
    """The kernel learnt from these trials: remembered, since the trials seldom are new ones."""
    target_N = np.frombuffer(targets)
    encodings_NC = np.frombuffer(encodings, dtype=np.int64).reshape(len(target_N), -1)
    unit = float(target_N.std()) or 1.0
    return fit_kernel(
        _features(space, encodings_NC), (target_N - target_N.mean()) / unit, features_of(space)
    )
