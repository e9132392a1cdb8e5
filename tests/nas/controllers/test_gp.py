"""The controller `gp`: where it looks for the greatest expected improvement."""

import numpy as np
import pytest

from nas.controllers import gp
from nas.controllers._optuna import parameter_values
from nas.controllers._variation import codes, everything
from nas.controllers.gp import GP, NothingLeft, greatest
from nas.problem.problem import Problem
from nas.testing.toy_problem import NOTHING_KNOWN, search, toy_problem
from search_spaces import Choice, SearchSpace, UserError

WEIGHTS_C = np.random.default_rng(0).normal(size=7)


def worth(encodings_NC: np.ndarray) -> np.ndarray:
    return np.asarray(encodings_NC @ WEIGHTS_C)


def small_problem() -> tuple[Problem, np.ndarray]:
    """A problem whose networks are few enough to look at all: (problem, feasible ones)."""
    problem = toy_problem(blocks=(1, 2), max_macs=400.0)
    rows_NC = everything(problem.space)
    assert rows_NC is not None
    return problem, rows_NC[problem.is_feasible(rows_NC)]


def test_the_greatest_is_found_among_those_that_may_be_asked_for() -> None:
    problem, feasible_NC = small_problem()
    best_first_NC = feasible_NC[np.argsort(-worth(feasible_NC))]
    for num_taken in (0, 1, 5):
        taken = set(codes(best_first_NC[:num_taken]))
        found_1C = greatest(problem, worth, taken, np.random.default_rng(1))
        assert found_1C.tolist() == [best_first_NC[num_taken].tolist()]


def test_from_a_single_start_it_climbs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gp, "STARTS", 1)
    problem, feasible_NC = small_problem()
    found = []
    for rounds in (0, 1, 8):
        monkeypatch.setattr(gp, "ROUNDS", rounds)
        found.append(worth(greatest(problem, worth, set(), np.random.default_rng(1)))[0])
    assert found[0] < found[1] < found[2]
    assert (worth(feasible_NC) > found[2]).mean() < 0.05


def test_where_all_are_taken_nothing_is_left() -> None:
    problem, feasible_NC = small_problem()
    taken = set(codes(feasible_NC))
    with pytest.raises(NothingLeft):
        greatest(problem, worth, taken, np.random.default_rng(1))


def test_an_inactive_choice_has_a_value_of_its_own_and_a_fixed_one_has_none() -> None:
    choices = (
        Choice("depth", (1, 2)),
        Choice("width", (8, 16, 32), (("depth", (2,)),)),
        Choice("kernel_size", (3,)),
    )
    values_NP = parameter_values(SearchSpace("s", choices), np.array([[0, 0, 0], [1, 2, 0]]))
    assert values_NP.tolist() == [[0, 3], [1, 2]]


def test_after_its_warm_up_it_is_not_random() -> None:
    problem = toy_problem(model=NOTHING_KNOWN)
    trials = search(GP(warm_up=8), problem, 8)
    assert GP(warm_up=8).ask(problem, trials, 1) != GP(warm_up=9).ask(problem, trials, 1)


def test_a_warm_up_of_none_is_refused() -> None:
    with pytest.raises(UserError, match="controller 'gp': warm_up is 0. It must be at least 1"):
        GP(warm_up=0)
