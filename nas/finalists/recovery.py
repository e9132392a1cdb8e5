"""What further training leaves of the drop that candidates have with shared weights.

A straight line: `drop = offset + share * shared drop`. Before anything was trained further it is a
guess, wide enough for networks and data of any kind; some short trainings, of candidates that lose
much and little, say what it is here (Bayesian linear regression: Bishop, Pattern Recognition and
Machine Learning (2006), section 3.3, with a known variance of the noise). More steps leave less, as
a power of the number of images (as losses do: Hestness et al., Deep Learning Scaling is
Predictable, Empirically (2017)); that this holds of what is left of a drop is our assumption.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr

from nas.problem.drop import Drop

SHARE, SHARE_DEVIATION = 0.25, 0.15
"""Of the shared drop that is left: guessed from trainings of some hundred steps."""

OFFSET_ERRORS = 0.5
"""Standard deviation of the guessed offset, in standard errors of a score."""

MISFIT_ERRORS = 0.25
"""What networks lose besides, in the same unit: the line is not all of it."""

FIRST_IMAGES = 1000.0
"""From so many images on, losses follow the power."""

LEAST_SHARE, MOST_SHARE = 0.02, 0.98

FEWEST, STRAIGHT = 8, 0.75
"""Candidates from which on losses say something of drops, and the share of them, from the best on,
in which they do so on a straight line."""


@dataclass(frozen=True)
class Recovery:
    """What is believed of the line.

    Attributes:
        line: Offset, in the metric's unit, and share.
        covariance: Of these two, (2, 2).
        unit: The standard error of a score.
    """

    line: tuple[float, float]
    covariance: np.ndarray
    unit: float

    @staticmethod
    def guessed(unit: float) -> "Recovery":
        """Before any training.

        Args:
            unit: The standard error of a score, as `Baseline.error` has it.
        """
        deviations = np.array([OFFSET_ERRORS * unit, SHARE_DEVIATION])
        return Recovery((0.0, SHARE), np.diag(deviations**2), unit)

    @property
    def share(self) -> float:
        """What is left of a shared drop."""
        return min(MOST_SHARE, max(LEAST_SHARE, self.line[1]))

    @property
    def misfit(self) -> float:
        """Standard deviation of networks around the line."""
        return MISFIT_ERRORS * self.unit

    def shared_limit(self, limit: float) -> float:
        """The shared drop at which a limit on the drop holds in expectation, and somewhat more."""
        return (limit + self.unit) / self.share

    def learnt(self, shared_K: Sequence[float], drops: Sequence[Drop]) -> "Recovery":
        """As these trainings have it.

        Args:
            shared_K: Drops with shared weights.
            drops: What is left of them.
        """
        if not drops:
            return self
        rows_K2 = np.column_stack([np.ones(len(drops)), shared_K])
        noise_K = self.misfit**2 + np.array([drop.deviation**2 for drop in drops])
        noise_K += (self.share * self.unit) ** 2  # of the shared drop itself
        known = np.linalg.inv(self.covariance)
        precision = known + (rows_K2.T / noise_K) @ rows_K2
        seen = (rows_K2.T / noise_K) @ np.array([drop.value for drop in drops])
        offset, share = np.linalg.solve(precision, known @ np.array(self.line) + seen).tolist()
        return replace(self, line=(offset, share), covariance=np.linalg.inv(precision))

    def after(self, images: float, more: float) -> "Recovery":
        """What is expected of another number of images than it was learnt with.

        Args:
            images: Of the trainings that it was learnt from; 0 if there were none.
            more: Of those that are asked about.
        """
        if not images:
            return self
        power = math.log1p(more / FIRST_IMAGES) / math.log1p(images / FIRST_IMAGES)
        offset, _ = self.line
        return replace(self, line=(offset, self.share**power))

    def expected(self, shared_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Drop and its standard deviation of networks with these shared drops, (N,) each."""
        rows_N2 = np.column_stack([np.ones(len(shared_N)), shared_N])
        variance_N = np.einsum("ni,ij,nj->n", rows_N2, self.covariance, rows_N2)
        variance_N += self.misfit**2 + (self.share * self.unit) ** 2
        return rows_N2 @ np.array(self.line), np.sqrt(variance_N)


def chance_within(mean_N: np.ndarray, deviation_N: np.ndarray, limit: float) -> np.ndarray:
    """Probability that normal numbers are at most the limit, (N,)."""
    chance_N: np.ndarray = ndtr((limit - mean_N) / np.maximum(deviation_N, 1e-12))
    return chance_N


def straddling(costs_N: np.ndarray, chance_N: np.ndarray, levels: Sequence[float]) -> list[int]:
    """The cheapest row for each level that is at least so likely within the limit.

    A row is taken once. Where none is so likely, the likeliest that is left is taken.

    Args:
        costs_N: Lower is better.
        chance_N: Of being within the limit.
        levels: From bold to safe.
    """
    taken: list[int] = []
    for level in levels:
        left = [row for row in range(len(costs_N)) if row not in taken]
        if not left:
            break
        likely = [row for row in left if chance_N[row] >= level]
        if likely:
            taken.append(min(likely, key=lambda row: (costs_N[row], -chance_N[row])))
        else:
            taken.append(max(left, key=lambda row: (chance_N[row], -costs_N[row])))
    return taken


def smoothed(drops_N: np.ndarray, losses_N: np.ndarray) -> np.ndarray:
    """Shared drops, each halfway to what the losses of all say of it, (N,).

    A drop of some hundred images is noise in good part; a loss is less so, and the line that leads
    from one to the other is not quite straight.
    """
    is_known_N = np.isfinite(drops_N) & np.isfinite(losses_N)
    if is_known_N.sum() < FEWEST:
        return drops_N
    is_known_N &= losses_N <= np.quantile(losses_N[is_known_N], STRAIGHT)
    if not np.ptp(losses_N[is_known_N]):
        return drops_N
    slope, start = np.polyfit(losses_N[is_known_N], drops_N[is_known_N], 1)
    return np.where(is_known_N, (drops_N + start + slope * losses_N) / 2, drops_N)
