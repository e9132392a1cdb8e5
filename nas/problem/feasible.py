"""Encodings within the limits that can be checked without an evaluation."""

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np

from nas.problem.problem import Problem
from search_spaces import Candidate, SearchSpace

DRAWS_PER_ROW = 16
LARGEST_OF = 10_000
"""Random members among which the largest within the limits is looked for."""

HOPELESS = 1e30
"""Stands for an infinite violation where differences are taken."""


def sample_within(problem: Problem, n: int, rng: np.random.Generator) -> np.ndarray:
    """Encodings within the modelled limits, shape (1 to n, C), not canonicalised.

    Uniform while at least one draw in `DRAWS_PER_ROW` is within; beyond that the rest are repaired
    ones, which lie close to the limits. The smallest network if none is within.
    """
    space = problem.space
    draws_NC = space.sample(rng, n if not problem.modelled_limits else n * DRAWS_PER_ROW)
    is_within_N = problem.is_feasible(draws_NC)
    rows_NC = draws_NC[is_within_N][:n]
    if len(rows_NC) < n:
        repaired_NC = repair(problem, draws_NC[~is_within_N][: n - len(rows_NC)], rng)
        rows_NC = np.concatenate([rows_NC, repaired_NC[problem.is_feasible(repaired_NC)]])
    if len(rows_NC) == 0:
        assert space.costs is not None
        return np.array([space.costs.minimum("macs")[1]])
    return rows_NC


def trained_within(problem: Problem) -> Callable[[np.ndarray], np.ndarray] | None:
    """Which members are trained: rows of encodings (N, C) to whether the limits allow some format.

    None for all: what was brought is trained beyond limits, too, because it has learnt already.
    """
    is_limited = problem.modelled_limits and not problem.space.is_brought
    return partial(fits_in_some_format, problem) if is_limited else None


def largest_member(problem: Problem) -> Candidate:
    """The network with the most MACs that training taught: unpruned, in the first format.

    That is the largest of the space, or, where limits leave it out, the largest of many random ones
    within them. A network that was brought is that, whatever the limits: it has learnt already.
    """
    space = problem.space
    assert space.costs is not None
    if space.is_brought:
        return space.candidate([0] * len(space.choices))
    largest = np.array([space.costs.maximum("macs")[1]])
    if fits_in_some_format(problem, largest)[0]:
        return space.candidate(largest[0].tolist())
    rows = space.sample(np.random.default_rng(13), LARGEST_OF)
    rows[:, space.policy_columns] = 0
    rows = rows[fits_in_some_format(problem, rows)]
    if not len(rows):
        return space.candidate(space.costs.minimum("macs")[1])
    return space.candidate(rows[space.costs.of("macs", rows).argmax()].tolist())


def fits_in_some_format(problem: Problem, encodings_NC: np.ndarray) -> np.ndarray:
    """Which rows are within the modelled limits in one format and pattern: booleans, (N,).

    Training is dense and in full precision; weights of a network that fits in a smaller format, or
    with a pattern, are trained.
    """
    space = problem.space
    fits_N = np.zeros(len(encodings_NC), dtype=bool)
    for pattern in space.patterns:
        rows_NC = space.in_pattern(encodings_NC, pattern)
        for precision in space.precisions:
            fits_N |= problem.is_feasible(space.in_precision(rows_NC, precision))
    return fits_N


def repair(problem: Problem, encodings_NC: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brings encodings within the modelled limits by changing one choice at a time.

    Each step takes one of the changes that help, with a probability in proportion to how much of
    the excess it removes: all that reach the limits are equally likely, so that a row that is a
    little over ends a little under.

    Returns:
        The rows in their order, not canonicalised. A row that no single change improves stays
        over the limits, and so does one that is not done after as many steps as there are options.
    """
    encodings_NC = np.array(encodings_NC)
    if not problem.modelled_limits or len(encodings_NC) == 0:
        return encodings_NC
    violations_N = np.minimum(problem.violations(encodings_NC), HOPELESS)
    left = np.flatnonzero(violations_N > 0.0)
    for _ in range(sum(problem.space.cardinalities)):
        if left.size == 0:
            break
        options_NKC = neighbours(problem.space, encodings_NC[left])
        rows_KC = options_NKC.reshape(-1, encodings_NC.shape[1])
        after_NK = problem.violations(rows_KC).reshape(options_NKC.shape[:2])
        weight_NK = np.maximum(violations_N[left, None] - after_NK, 0.0)
        can_move_N = weight_NK.sum(axis=1) > 0.0
        left, weight_NK = left[can_move_N], weight_NK[can_move_N]
        pick_N = _draw(weight_NK, rng)
        encodings_NC[left] = options_NKC[can_move_N][np.arange(len(left)), pick_N]
        violations_N[left] = after_NK[can_move_N][np.arange(len(left)), pick_N]
        left = left[violations_N[left] > 0.0]
    return encodings_NC


def neighbours(space: SearchSpace, encodings_NC: np.ndarray) -> np.ndarray:
    """Every row with every single choice changed to every other option.

    Returns:
        Shape (N, K, C) with K the number of options of all choices, less one each. Changes of an
        inactive choice are among them.
    """
    columns, steps = _single_changes(space.cardinalities)
    out_NKC = np.repeat(np.asarray(encodings_NC)[:, None, :], len(columns), axis=1)
    old_NK = out_NKC[:, np.arange(len(columns)), columns]
    new_NK = (old_NK + steps) % np.array(space.cardinalities)[columns]
    out_NKC[:, np.arange(len(columns)), columns] = new_NK
    return out_NKC


@lru_cache(maxsize=16)
def _single_changes(cardinalities: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Column and (cyclic) step of every single-choice change."""
    changes = [(c, step) for c, options in enumerate(cardinalities) for step in range(1, options)]
    columns, steps = np.array(changes, dtype=int).reshape(-1, 2).T
    return columns, steps


def _draw(weight_NK: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One column per row, in proportion to the row's weights."""
    cumulative_NK = weight_NK.cumsum(axis=1)
    threshold_N = rng.random(len(weight_NK)) * cumulative_NK[:, -1]
    return np.asarray((cumulative_NK <= threshold_N[:, None]).sum(axis=1))
