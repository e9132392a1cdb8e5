"""Gaussian processes over encodings: what a metric is likely to be where it was not measured.

The kernel is a sum of three (K networks, F features in G groups, `phi` one network's features):

    variance_p * exp(-scale_p * sum_g relevance_g |phi_g(x) - phi_g(y)|^2)    p: own, counts
    linear * sum_g relevance_g phi_g(x) . phi_g(y)                            all groups

The *own* features are the choices, one by one: the first kernel knows which choices go together,
and where two networks differ in everything it knows nothing. The *counts* are how often each option
was taken among all choices that offer the same options: where a choice was made often matters less
than how many were made, and a few networks suffice to learn that. The linear kernel adds effects of
single choices up, however far away.

A choice of words is one group: same or not. A choice of numbers has a second group, in which the
distance is that between positions. An inactive choice is like an option of its own. Every group
has its relevance, learnt with the variances, scales and noise: the most likely values, with a prior
that keeps groups alike until the data says otherwise.

Source: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), sections 2.2, 5.4.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

from search_spaces import Choice, SearchSpace

NOISE = 1e-6
"""Least variance of the noise; targets have variance 1."""
BOUND = 12.0
"""Logarithms of parameters stay within plus and minus this."""
VARIANCE, SCALE, LINEAR, MEASURED_NOISE, NUM_SHARED = slice(0, 2), slice(2, 4), 4, 5, 6
"""Where the parameters that are not relevances stand: of the own features and the counts first."""
PRIOR_MEAN = np.array([0.0, 0.0, 0.0, 0.0, -1.0, -5.0])
PRIOR_STD = np.array([1.5, 1.5, 1.0, 1.0, 2.0, 3.0])
RELEVANCE_STD = 1.0
TYPICAL = 1.5
"""Expected distance of two random networks, before anything is learnt."""


@dataclass(frozen=True)
class Features:
    """How encodings become vectors: own features first, then counts.

    Attributes:
        tables: Per choice the own features of every option; the last row is that of "inactive".
        families: Per family of choices with the same options: its columns, and what every option
            (the last row is "inactive") adds to the counts.
        group_F: Of every feature.
        num_own: How many features are not counts.
    """

    tables: tuple[np.ndarray, ...]
    families: tuple[tuple[tuple[int, ...], np.ndarray], ...]
    group_F: np.ndarray
    num_own: int

    @property
    def num_groups(self) -> int:
        """Groups of both kinds."""
        return int(self.group_F.max(initial=-1)) + 1

    @property
    def parts(self) -> tuple[slice, slice]:
        """Where the own features and the counts stand."""
        return slice(0, self.num_own), slice(self.num_own, None)

    def __call__(self, encodings_NC: np.ndarray, active_NC: np.ndarray) -> np.ndarray:
        """Shape (N, F)."""
        index_NC = np.where(active_NC, encodings_NC, -1)
        own = [table[index_NC[:, column]] for column, table in enumerate(self.tables)]
        counts = [
            np.sum([table[index_NC[:, column]] for column in columns], axis=0)
            for columns, table in self.families
        ]
        return np.concatenate([*own, *counts], axis=1)


@lru_cache(maxsize=4)
def features_of(space: SearchSpace) -> Features:
    """The features of a space's choices."""
    tables: list[np.ndarray] = []
    groups: list[int] = []
    families: dict[tuple[object, ...], list[int]] = {}
    for column, choice in enumerate(space.choices):
        parts = _own_tables(choice)
        tables.append(np.concatenate(parts, axis=1))
        groups += _groups(groups, parts)
        if len(choice.options) > 1:
            families.setdefault(choice.options, []).append(column)
    num_own = len(groups)
    counted = []
    for columns in families.values():
        if len(columns) > 1:
            table = _own_tables(space.choices[columns[0]])[-1]
            table = table[:, : len(space.choices[columns[0]].options)] / np.sqrt(len(columns))
            counted.append((tuple(columns), table))
            groups += _groups(groups, [table])
    return Features(tuple(tables), tuple(counted), np.array(groups, dtype=int), num_own)


def _own_tables(choice: Choice) -> list[np.ndarray]:
    """Features of every option and of "inactive", one array per group; the last suits counting."""
    num = len(choice.options)
    num_columns = num + bool(choice.active_if)
    if num_columns < 2:
        return [np.zeros((num + 1, 0))]
    same = np.eye(num + 1)[:, :num_columns] / np.sqrt(2.0)
    if num == 2 or any(isinstance(option, str) for option in choice.options):
        return [same]
    steps = np.tri(num, num - 1, -1) / np.sqrt(num - 1)
    return [same, np.concatenate([steps, np.zeros((1, num - 1))])]


def _groups(groups: list[int], parts: list[np.ndarray]) -> list[int]:
    """One more group for every array that has columns."""
    start = max(groups, default=-1) + 1
    widths = [part.shape[1] for part in parts if part.shape[1]]
    return [start + i for i, width in enumerate(widths) for _ in range(width)]


@dataclass(frozen=True)
class Kernel:
    """The learnt parameters.

    Attributes:
        features: What it compares.
        parameters: Logarithms: two variances, two scales, linear variance, noise, and a relevance
            per group.
    """

    features: Features
    parameters: np.ndarray

    @cached_property
    def relevance_F(self) -> np.ndarray:
        """Of every feature."""
        return np.asarray(np.exp(self.parameters[NUM_SHARED:])[self.features.group_F])

    @property
    def noise(self) -> float:
        """Variance."""
        return float(np.exp(self.parameters[MEASURED_NOISE])) + NOISE

    def parts(self, one_NF: np.ndarray, other_KF: np.ndarray) -> list[np.ndarray]:
        """Covariances of the own features, of the counts and of the linear part: (N, K) each."""
        found = []
        product_NK = np.zeros((len(one_NF), len(other_KF)))
        for part, log_variance, log_scale in zip(
            self.features.parts, self.parameters[VARIANCE], self.parameters[SCALE], strict=True
        ):
            relevance_F = self.relevance_F[part]
            inner_NK = (one_NF[:, part] * relevance_F) @ other_KF[:, part].T
            one_N = (one_NF[:, part] ** 2) @ relevance_F
            other_K = (other_KF[:, part] ** 2) @ relevance_F
            distance_NK = np.maximum(one_N[:, None] + other_K - 2.0 * inner_NK, 0.0)
            found.append(np.exp(log_variance - np.exp(log_scale) * distance_NK))
            product_NK += inner_NK
        return [*found, np.exp(self.parameters[LINEAR]) * product_NK]

    def between(self, one_NF: np.ndarray, other_KF: np.ndarray) -> np.ndarray:
        """Covariances without noise, shape (N, K)."""
        return np.asarray(sum(self.parts(one_NF, other_KF)))

    def at(self, rows_NF: np.ndarray) -> np.ndarray:
        """Variances without noise, shape (N,)."""
        variance, linear = np.exp(self.parameters[VARIANCE]).sum(), np.exp(self.parameters[LINEAR])
        return np.asarray(variance + linear * ((rows_NF**2) @ self.relevance_F))


def fit_kernel(
    rows_NF: np.ndarray, target_N: np.ndarray, features: Features, *, iterations: int = 40
) -> Kernel:
    """The most likely parameters.

    Args:
        rows_NF: Features of measured networks.
        target_N: What was measured: mean 0, variance 1.
        features: What the rows are.
        iterations: Of the optimizer, at most.
    """
    prior_mean = np.concatenate([PRIOR_MEAN, np.zeros(features.num_groups)])
    spreads = [max(2.0 * rows_NF[:, part].var(axis=0).sum(), 1e-3) for part in features.parts]
    prior_mean[SCALE] += np.log(TYPICAL / np.array(spreads))
    prior_mean[LINEAR] -= np.log(sum(spreads))
    found = minimize(
        _negative_log_posterior,
        prior_mean,
        args=(rows_NF, target_N, features, prior_mean),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-BOUND, BOUND)] * len(prior_mean),
        options={"maxiter": iterations},
    )
    return Kernel(features, found.x)


def _negative_log_posterior(
    parameters: np.ndarray,
    rows_NF: np.ndarray,
    target_N: np.ndarray,
    features: Features,
    prior_mean: np.ndarray,
) -> tuple[float, np.ndarray]:
    """Value and gradient, up to a constant (Rasmussen and Williams, equations 5.8 and 5.9)."""
    kernel = Kernel(features, parameters)
    parts = kernel.parts(rows_NF, rows_NF)
    total_NN = sum(parts)
    assert isinstance(total_NN, np.ndarray)
    total_NN.flat[:: len(total_NN) + 1] += kernel.noise
    try:
        factor = cho_factor(total_NN, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return 1e10, np.zeros_like(parameters)
    inverse_NN = cho_solve(factor, np.eye(len(target_N)), check_finite=False)
    alpha_N = inverse_NN @ target_N
    value = 0.5 * target_N @ alpha_N + np.log(np.diag(factor[0])).sum()
    slope_NN = 0.5 * (inverse_NN - np.outer(alpha_N, alpha_N))

    gradient = np.zeros_like(parameters)
    linear = np.exp(parameters[LINEAR])
    by_feature_F = linear * np.einsum("nf,nf->f", rows_NF, slope_NN @ rows_NF)
    for index, part in enumerate(features.parts):
        by_part_NN = slope_NN * parts[index]
        rows_NP = rows_NF[:, part]
        by_distance_P = 2.0 * (
            by_part_NN.sum(axis=1) @ rows_NP**2
            - np.einsum("np,np->p", rows_NP, by_part_NN @ rows_NP)
        )
        scale = np.exp(parameters[SCALE][index])
        by_feature_F[part] -= scale * by_distance_P
        gradient[VARIANCE.start + index] = by_part_NN.sum()
        gradient[SCALE.start + index] = -scale * (by_distance_P @ kernel.relevance_F[part])
    gradient[LINEAR] = (slope_NN * parts[2]).sum()
    gradient[MEASURED_NOISE] = np.exp(parameters[MEASURED_NOISE]) * np.trace(slope_NN)
    gradient[NUM_SHARED:] = np.bincount(
        features.group_F, by_feature_F * kernel.relevance_F, minlength=features.num_groups
    )
    prior_std = np.concatenate([PRIOR_STD, np.full(features.num_groups, RELEVANCE_STD)])
    off = (parameters - prior_mean) / prior_std
    return float(value + 0.5 * off @ off), gradient + off / prior_std


@dataclass(frozen=True)
class GaussianProcess:
    """A metric's posterior.

    Attributes:
        kernel: With learnt parameters.
        rows_NF: Features of the measured networks.
        factor_NN: Lower Cholesky factor of their covariance.
        alpha_N: Weights of their covariances in the mean.
        target_N: What was measured.
        shift: Added to the mean.
        unit: Standard deviation of the targets.
    """

    kernel: Kernel
    rows_NF: np.ndarray
    factor_NN: np.ndarray
    alpha_N: np.ndarray
    target_N: np.ndarray
    shift: float
    unit: float

    @staticmethod
    def of(kernel: Kernel, rows_NF: np.ndarray, target_N: np.ndarray) -> "GaussianProcess":
        """The posterior given measured networks, one row each."""
        shift, unit = float(target_N.mean()), float(target_N.std()) or 1.0
        return _posterior(kernel, rows_NF, target_N, shift, unit)

    def believing(self, rows_KF: np.ndarray) -> "GaussianProcess":
        """The posterior if these networks, too, were measured, and were as expected."""
        rows_NF = np.concatenate([self.rows_NF, rows_KF])
        target_N = np.concatenate([self.target_N, self.predict(rows_KF)[0]])
        return _posterior(self.kernel, rows_NF, target_N, self.shift, self.unit)

    def predict(self, rows_KF: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation without noise, shape (K,) each."""
        covariance_KN = self.kernel.between(rows_KF, self.rows_NF)
        mean_K = self.shift + self.unit * (covariance_KN @ self.alpha_N)
        solved_NK = solve_triangular(
            self.factor_NN, covariance_KN.T, lower=True, check_finite=False
        )
        variance_K = self.kernel.at(rows_KF) - (solved_NK**2).sum(axis=0)
        return mean_K, self.unit * np.sqrt(np.maximum(variance_K, 1e-12))

    def left_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (noise included) of every target given all others."""
        inverse_NN = cho_solve((self.factor_NN, True), np.eye(len(self.alpha_N)))
        variance_N = 1.0 / np.diag(inverse_NN)
        mean_N = self.target_N - self.unit * self.alpha_N * variance_N
        return mean_N, self.unit * np.sqrt(variance_N)


def _posterior(
    kernel: Kernel, rows_NF: np.ndarray, target_N: np.ndarray, shift: float, unit: float
) -> GaussianProcess:
    total_NN = kernel.between(rows_NF, rows_NF)
    total_NN.flat[:: len(total_NN) + 1] += kernel.noise
    factor_NN = np.linalg.cholesky(total_NN)
    alpha_N = cho_solve((factor_NN, True), (target_N - shift) / unit, check_finite=False)
    return GaussianProcess(kernel, rows_NF, factor_NN, alpha_N, target_N, shift, unit)
