"""What further training leaves of the drop that candidates have with shared weights.

A straight line: `drop = offset + share * shared drop`. The offset is what training gains by itself;
the share is what is left of what shared weights lose against the network as it was brought. Before
anything was trained further the line is a guess, wide enough for networks and data of any kind.
Short trainings, of candidates that lose much and little, say what it is here (Bayesian linear
regression: Bishop, Pattern Recognition and Machine Learning (2006), section 3.3, with known noise).
More images leave less, as a power of their number, as losses of networks in general (Hestness et
al., Deep Learning Scaling is Predictable, Empirically (2017)). That it holds of shares of drops,
and the power, is ours: it is what we measured (docs/decisions/0066).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr

from nas.problem.drop import Drop

SHARE, SHARE_DEVIATION = 0.25, 0.15
"""Of the shared drop that is left in the end: guessed from trainings of some hundred steps."""

OFFSET_ERRORS = 0.5
"""Standard deviation of the guessed offset, in standard errors of a score."""

MISFIT_ERRORS = 0.25
"""What networks lose besides, in the same unit: the line is not all of it."""

POWER = 1.3
"""`1 / share - 1` grows as this power of the number of images."""

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
    def guessed(unit: float, gap: float = 0.0) -> "Recovery":
        """Before any training, of the end: what is not pruned loses nothing then.

        Args:
            unit: The standard error of a score, as `Baseline.error` has it.
            gap: The shared drop of what is not pruned.
        """
        deviations = np.array([OFFSET_ERRORS * unit, SHARE_DEVIATION])
        return Recovery((-SHARE * gap, SHARE), np.diag(deviations**2), unit)

    @property
    def share(self) -> float:
        """What is left of a shared drop."""
        return min(MOST_SHARE, max(LEAST_SHARE, self.line[1]))

    @property
    def misfit(self) -> float:
        """Standard deviation of networks around the line."""
        return MISFIT_ERRORS * self.unit

    def shared_limit(self, limit: float) -> float:
        """What a shared drop may be, beyond that of what is not pruned, so that a limit on the drop
        is missed by no more than the error of a score, by this line.
        """
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
        """What is expected of another number of images.

        Args:
            images: Of the trainings that this is true of; 0 if it is of any.
            more: Of those that are asked about.
        """
        if not images:
            return self
        offset, ratio = self.line[0], (more / images) ** POWER
        share = 1 / (1 + ratio * (1 / self.share - 1))
        scale = np.diag([1.0, ratio * (share / self.share) ** 2])
        return replace(self, line=(offset, share), covariance=scale @ self.covariance @ scale.T)

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


def promising(costs_N: np.ndarray, chance_N: np.ndarray, most: float, size: int) -> list[int]:
    """Rows that together gain most in expectation, one after the other.

    What counts is the cheapest that will be within the limit: the logarithm of how many times
    cheaper it is than something that surely is. Chances are taken for independent.

    Args:
        costs_N: Positive, lower is better.
        chance_N: Of being within the limit.
        most: Cost of what is within it for sure.
        size: How many rows.
    """
    gains_N = np.maximum(0.0, np.log(most / costs_N))

    def expected(rows: list[int]) -> float:
        total, failed = 0.0, 1.0
        for row in sorted(rows, key=lambda row: costs_N[row]):
            total += failed * chance_N[row] * gains_N[row]
            failed *= 1.0 - chance_N[row]
        return total

    taken: list[int] = []
    for _ in range(min(size, len(costs_N))):
        left = [row for row in range(len(costs_N)) if row not in taken]
        taken.append(max(left, key=lambda row: (expected([*taken, row]), chance_N[row])))
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
