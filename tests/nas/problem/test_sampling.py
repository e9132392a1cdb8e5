"""Encodings within limits: uniform where that is possible, repaired where it is not."""

import numpy as np
import pytest

from nas.prepare.inputs import make_problem
from nas.problem.feasible import repair, sample_within
from nas.problem.problem import Limit
from nas.testing.toy_problem import toy_problem
from search_spaces import SearchSpace


@pytest.mark.parametrize("max_macs", [1e9, 600.0, 100.0, 34.0])
def test_as_many_as_asked_for_and_all_within(max_macs: float) -> None:
    problem = toy_problem(max_macs=max_macs)
    rows_NC = sample_within(problem, 200, np.random.default_rng(0))
    assert rows_NC.shape == (200, len(problem.space.choices))
    assert problem.is_feasible(rows_NC).all()


def test_draws_are_uniform_while_enough_are_within() -> None:
    problem = toy_problem(max_macs=600.0)
    everyone_NC = problem.space.sample(np.random.default_rng(1), 5000)
    within_N = problem.model.of("macs", everyone_NC[problem.is_feasible(everyone_NC)])
    drawn_N = problem.model.of("macs", sample_within(problem, 200, np.random.default_rng(0)))
    # The standard error of a mean of 200 is a fourteenth of the standard deviation.
    assert drawn_N.mean() == pytest.approx(within_N.mean(), abs=4 * within_N.std() / 14)


def test_the_smallest_where_nothing_is_within(mini: SearchSpace) -> None:
    problem = make_problem(mini, [Limit("macs", 0.0)])
    rows_NC = sample_within(problem, 200, np.random.default_rng(0))
    assert mini.costs is not None
    assert rows_NC.tolist() == [list(mini.costs.minimum("macs")[1])]


@pytest.mark.parametrize("max_macs", [1500.0, 400.0, 100.0, 34.0])
def test_repair_reaches_the_limit_and_leaves_feasible_rows_alone(max_macs: float) -> None:
    problem = toy_problem(max_macs=max_macs)
    rng = np.random.default_rng(5)
    rows_NC = problem.space.sample(rng, 200)
    was_feasible_N = problem.is_feasible(rows_NC)
    repaired_NC = repair(problem, rows_NC, rng)
    assert problem.is_feasible(repaired_NC).all()
    assert (repaired_NC[was_feasible_N] == rows_NC[was_feasible_N]).all()


def test_repair_gives_up_where_nothing_helps() -> None:
    problem = toy_problem(max_macs=1.0)
    rows_NC = problem.space.sample(np.random.default_rng(0), 5)
    assert not problem.is_feasible(repair(problem, rows_NC, np.random.default_rng(0))).any()


def test_repaired_rows_stay_different_and_close_to_the_limit() -> None:
    problem = toy_problem(max_macs=600.0)
    rng = np.random.default_rng(1)
    expensive_NC = np.tile([3] + [2] * 12, (50, 1))
    repaired_NC = problem.space.canonical_many(repair(problem, expensive_NC, rng))
    assert len(np.unique(repaired_NC, axis=0)) > 25
    assert np.median(problem.model.of("macs", repaired_NC)) > 300.0
