"""Fronts, ranks, distances, volumes and knees: their properties rather than examples."""

import itertools
import math
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from nas.controllers import CONTROLLERS
from nas.problem.pareto import (
    ParetoFront,
    crowding_distances,
    hypervolume,
    knee,
    non_dominated,
    ranks,
)
from nas.problem.problem import Limit, Objective, Problem
from nas.problem.trial import Trial
from nas.testing.toy_problem import NOTHING_KNOWN, search, toy_problem, trial_of
from search_spaces import Choice, SearchSpace

quick = settings(deadline=None, max_examples=80)


def losses(
    num_objectives: st.SearchStrategy[int], max_rows: int = 12
) -> st.SearchStrategy[np.ndarray]:
    """Small integers, so that ties and duplicates are frequent."""
    shapes = st.tuples(st.integers(0, max_rows), num_objectives)
    return st_numpy.arrays(float, shapes, elements=st.integers(0, 6).map(float))


any_losses = losses(st.integers(1, 4))


def dominates(better_M: np.ndarray, worse_M: np.ndarray) -> bool:
    return bool((better_M <= worse_M).all() and (better_M < worse_M).any())


@quick
@given(any_losses)
def test_a_row_is_on_the_front_exactly_if_no_row_dominates_it(losses_NM: np.ndarray) -> None:
    expected = [not any(dominates(other, row) for other in losses_NM) for row in losses_NM]
    assert non_dominated(losses_NM).tolist() == expected


@quick
@given(any_losses, st.randoms(use_true_random=False))
def test_the_front_does_not_depend_on_order_or_duplicates(
    losses_NM: np.ndarray, random: Random
) -> None:
    order = random.sample(range(len(losses_NM)), len(losses_NM))
    assert (non_dominated(losses_NM[order]) == non_dominated(losses_NM)[order]).all()
    twice = non_dominated(np.concatenate([losses_NM, losses_NM]))
    assert (twice == np.tile(non_dominated(losses_NM), 2)).all()


@quick
@given(any_losses)
def test_the_front_does_not_depend_on_monotone_scales(losses_NM: np.ndarray) -> None:
    assert (non_dominated(np.exp(losses_NM) * 3.0 - 7.0) == non_dominated(losses_NM)).all()
    assert (ranks(losses_NM**3) == ranks(losses_NM)).all()


@quick
@given(losses(st.just(2)))
def test_the_sweep_for_two_objectives_equals_the_general_way(losses_N2: np.ndarray) -> None:
    padded_N3 = np.concatenate([losses_N2, np.zeros((len(losses_N2), 1))], axis=1)
    assert (non_dominated(losses_N2) == non_dominated(padded_N3)).all()


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_rows_that_are_not_finite_are_never_on_the_front(broken: float) -> None:
    losses_NM = np.array([[1.0, 2.0], [0.0, broken], [2.0, 3.0]])
    assert non_dominated(losses_NM).tolist() == [True, False, False]
    assert ranks(losses_NM).tolist() == [0, 2, 1]
    assert not non_dominated(losses_NM[1:2]).any()


@quick
@given(any_losses)
def test_ranks_count_the_fronts_to_peel_off(losses_NM: np.ndarray) -> None:
    rank_N = ranks(losses_NM)
    for row, rank in zip(losses_NM, rank_N, strict=True):
        beaten_by = [rank_N[i] for i, other in enumerate(losses_NM) if dominates(other, row)]
        assert rank == max(beaten_by, default=-1) + 1


def test_crowding_distances_of_a_known_front() -> None:
    losses_FM = np.array([[0.0, 10.0, 5.0], [1.0, 6.0, 5.0], [4.0, 5.0, 5.0], [10.0, 0.0, 5.0]])
    expected = [math.inf, 0.4 + 0.5, 0.9 + 0.6, math.inf]
    assert crowding_distances(losses_FM) == pytest.approx(expected)
    assert crowding_distances(np.empty((0, 2))).tolist() == []
    assert crowding_distances(np.ones((3, 2))).tolist() == [0.0, 0.0, 0.0]


@quick
@given(losses(st.integers(1, 3), max_rows=5))
def test_hypervolume_is_the_number_of_unit_cells_that_are_dominated(losses_NM: np.ndarray) -> None:
    num_objectives = losses_NM.shape[1]
    cells = np.array(list(itertools.product(range(6), repeat=num_objectives)), dtype=float)
    is_covered = (losses_NM[None] <= cells[:, None]).all(axis=2).any(axis=1)
    volume = hypervolume(losses_NM, np.full(num_objectives, 6.0))
    assert volume == pytest.approx(is_covered.sum())


@quick
@given(losses(st.just(4), max_rows=8))
def test_hypervolume_of_four_objectives_adds_up_by_inclusion_and_exclusion(
    losses_N4: np.ndarray,
) -> None:
    total = 0.0
    for size in range(1, len(losses_N4) + 1):
        for rows in itertools.combinations(losses_N4, size):
            total -= (-1) ** size * float(np.prod(7.0 - np.max(rows, axis=0)))
    assert hypervolume(losses_N4, np.full(4, 7.0)) == pytest.approx(total)


@quick
@given(losses(st.integers(1, 4)), st.data())
def test_a_point_that_nothing_dominates_makes_the_hypervolume_grow(
    losses_NM: np.ndarray, data: st.DataObject
) -> None:
    num_objectives = losses_NM.shape[1]
    point_M = np.array(data.draw(st.tuples(*[st.integers(0, 6)] * num_objectives)), dtype=float)
    reference_M = np.full(num_objectives, 7.0)
    before = hypervolume(losses_NM, reference_M)
    after = hypervolume(np.concatenate([losses_NM, point_M[None]]), reference_M)
    is_covered = bool((losses_NM <= point_M).all(axis=1).any())
    assert after == before if is_covered else after > before


def test_rows_beyond_the_reference_add_nothing() -> None:
    losses_NM = np.array([[1.0, 1.0], [0.0, 3.0], [2.0, 0.5]])
    assert hypervolume(losses_NM, np.array([2.0, 2.0])) == 1.0
    assert hypervolume(losses_NM[1:], np.array([2.0, 2.0])) == 0.0
    assert hypervolume(np.empty((0, 2)), np.array([2.0, 2.0])) == 0.0


@pytest.mark.parametrize(
    ("losses_NM", "reference_M"),
    [
        (np.zeros((2, 2)), np.ones(3)),
        (np.zeros(2), np.ones(2)),
        (np.full((1, 2), np.nan), np.ones(2)),
        (np.zeros((1, 2)), np.array([1.0, np.inf])),
    ],
)
def test_hypervolume_refuses_what_has_no_volume(
    losses_NM: np.ndarray, reference_M: np.ndarray
) -> None:
    with pytest.raises(ValueError, match=r"hypervolume|objectives"):
        hypervolume(losses_NM, reference_M)


def test_the_knee_is_the_row_that_bulges_most() -> None:
    losses_FM = np.array([[0.0, 10.0], [2.0, 3.0], [5.0, 2.0], [10.0, 0.0]])
    assert knee(losses_FM) == 1
    assert knee(losses_FM * [1.0, 1000.0]) == 1
    assert knee(losses_FM[::-1]) == 2


def test_a_front_without_a_bulge_has_no_knee() -> None:
    straight = np.array([[0.0, 3.0], [1.0, 2.0], [2.0, 1.0], [3.0, 0.0]])
    hollow = np.array([[0.0, 3.0], [2.0, 2.0], [3.0, 0.0]])
    for losses_FM in (
        straight,
        straight / 7.0,
        hollow,
        straight[:2],
        straight[:0],
        np.ones((4, 2)),
    ):
        assert knee(losses_FM) is None


@quick
@given(losses(st.integers(2, 3)), st.randoms(use_true_random=False))
def test_the_knee_does_not_depend_on_order(losses_NM: np.ndarray, random: Random) -> None:
    front_FM = losses_NM[non_dominated(losses_NM)]
    assume(len(front_FM) > 2)
    order = random.sample(range(len(front_FM)), len(front_FM))
    here, there = knee(front_FM), knee(front_FM[order])
    assert (here is None) == (there is None)
    if here is not None and there is not None:
        assert (front_FM[here] == front_FM[order][there]).all()


def table_problem(limits: tuple[Limit, ...] = ()) -> Problem:
    space = SearchSpace("table", (Choice("row", tuple(range(10))),))
    objectives = (Objective("accuracy", "maximize"), Objective("latency_ms", "minimize"))
    return Problem(space=space, objectives=objectives, limits=limits, model=NOTHING_KNOWN)


def measured(problem: Problem, rows: list[tuple[float, float]], **fields: object) -> list[Trial]:
    return [
        trial_of(
            number,
            problem.space.candidate((number,)),
            metrics={"accuracy": accuracy, "latency_ms": latency_ms},
            predicted={},
            **fields,
        )
        for number, (accuracy, latency_ms) in enumerate(rows)
    ]


ROWS = [(0.5, 1.0), (0.9, 4.0), (0.6, 1.0), (0.6, 5.0), (0.8, 2.0), (0.6, 1.0)]


def test_the_front_lists_best_first_and_keeps_equals() -> None:
    problem = table_problem()
    trials = measured(problem, ROWS)
    front = ParetoFront.of(problem, trials)
    assert [trial.number for trial in front.trials] == [1, 4, 2, 5]
    assert ParetoFront.of(problem, trials[::-1]) == front
    assert front.knee == trials[4]
    assert front.hypervolume(np.array([-0.5, 5.0])) == pytest.approx(0.1 * 4 + 0.2 * 3 + 0.1)


def test_failed_trials_are_never_on_the_front() -> None:
    problem = table_problem()
    trials = measured(problem, ROWS, failure="no kernel")
    assert ParetoFront.of(problem, trials).trials == ()
    assert ParetoFront.of(problem, []).trials == ()
    assert ParetoFront.of(problem, []).knee is None


def test_trials_over_a_limit_or_without_its_metric_are_never_on_the_front() -> None:
    problem = table_problem((Limit("latency_ms", 2.0),))
    front = ParetoFront.of(problem, measured(problem, ROWS))
    assert [trial.number for trial in front.trials] == [4, 2, 5]
    problem = table_problem((Limit("params", 1e9),))
    assert ParetoFront.of(problem, measured(problem, ROWS)).trials == ()


def test_the_front_of_a_search_is_what_its_trials_say() -> None:
    problem = toy_problem()
    trials = search(CONTROLLERS.get("random")(), problem, 50)
    front = ParetoFront.of(problem, trials)
    for trial in trials:
        row_M = problem.losses([trial])[0]
        is_beaten = any(dominates(member, row_M) for member in front.losses_NM)
        assert is_beaten == (trial not in front.trials)
