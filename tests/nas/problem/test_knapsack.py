"""The knapsack solver against trying everything."""

import itertools
import time
from collections.abc import Sequence

import numpy as np
import pytest

from nas.problem.knapsack import knapsack


def drawn(
    seed: int, num_choices: int, num_options: int, num_costs: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Distortions that rise from option to option and costs that fall: (K,) and (K, M) each."""
    rng = np.random.default_rng(seed)
    size = (num_choices, num_options)
    distortions = np.cumsum(rng.exponential(size=size), axis=1) - rng.random(size[:1])[:, None]
    costs = np.cumsum(rng.exponential(size=(*size, num_costs)), axis=1)[:, ::-1]
    return list(distortions), list(costs * rng.lognormal(0, 1, (num_choices, 1, 1)))


def total(values: Sequence[np.ndarray], chosen: Sequence[int]) -> np.ndarray:
    return np.sum([v[k] for v, k in zip(values, chosen, strict=True)], axis=0)


def middle(costs: Sequence[np.ndarray], share: float) -> np.ndarray:
    """Limits between the least and the most."""
    low, high = (np.sum([f(cost, 0) for cost in costs], 0) for f in (np.min, np.max))
    return low + share * (high - low)


def by_trying(
    distortions: Sequence[np.ndarray], costs: Sequence[np.ndarray], limits_M: np.ndarray
) -> float:
    every = itertools.product(*(range(len(d)) for d in distortions))
    return min(
        (float(total(distortions, c)) for c in every if (total(costs, c) <= limits_M).all()),
        default=np.inf,
    )


@pytest.mark.parametrize("share", [0.05, 0.4, 0.9])
@pytest.mark.parametrize("seed", range(4))
def test_it_finds_the_optimum_of_four_choices_and_six_options(seed: int, share: float) -> None:
    distortions, costs = drawn(seed, 4, 6, 1)
    limits_M = middle(costs, share)
    chosen = knapsack(distortions, costs, limits_M)
    assert chosen is not None
    assert (total(costs, chosen) <= limits_M).all()
    assert total(distortions, chosen) == pytest.approx(by_trying(distortions, costs, limits_M))


@pytest.mark.parametrize("seed", range(6))
def test_two_limits_are_both_met_at_little_more_than_the_least_distortion(seed: int) -> None:
    distortions, costs = drawn(seed, 5, 5, 2)
    limits_M = middle(costs, 0.4)
    chosen = knapsack(distortions, costs, limits_M)
    assert chosen is not None
    assert (total(costs, chosen) <= limits_M).all()
    least = by_trying(distortions, costs, limits_M)
    spread = sum(float(np.ptp(d)) for d in distortions)
    assert total(distortions, chosen) - least <= 0.05 * spread


def test_fifty_choices_of_twenty_levels_use_all_of_a_limit_in_seconds() -> None:
    distortions, costs = drawn(0, 50, 20, 1)
    limits_M = middle(costs, 0.5)
    started = time.process_time()
    chosen = knapsack(distortions, costs, limits_M)
    assert time.process_time() - started <= 5.0
    assert chosen is not None
    assert 0.995 * limits_M[0] <= total(costs, chosen)[0] <= limits_M[0]


def test_limits_that_nothing_meets_have_no_solution() -> None:
    distortions, costs = drawn(0, 4, 4, 2)
    limits_M = middle(costs, -0.01)
    assert knapsack(distortions, costs, limits_M) is None
    assert knapsack(distortions, [cost[:, :1] for cost in costs], limits_M[:1]) is None


def test_a_limit_that_only_the_cheapest_meet_has_these() -> None:
    distortions, costs = drawn(1, 6, 4, 1)
    assert knapsack(distortions, costs, middle(costs, 0.0)) == (3,) * 6


def test_costs_may_be_negative() -> None:
    distortions, costs = drawn(2, 4, 5, 1)
    limits_M = middle(costs, 0.5)
    moved = [cost - 7.0 for cost in costs]
    assert knapsack(distortions, moved, limits_M - 28.0) == knapsack(distortions, costs, limits_M)
