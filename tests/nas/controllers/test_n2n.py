"""N2N: what compression is worth, the gradient of the policy, and what it comes to."""

import dataclasses
import math

import numpy as np
import pytest

from nas.controllers import AbstractController
from nas.controllers._recurrent import Decisions, Recurrent
from nas.controllers.n2n import (
    INVALID,
    MOST_QUALITY,
    N2N,
    Reference,
    decided_in_turn,
    decisions_of,
    quality,
    reward,
    size_metric,
    unchanged,
)
from nas.controllers.random import Random
from nas.problem.problem import Limit, Objective, Problem
from nas.problem.trial import Trial
from nas.testing.toy_problem import (
    NOTHING_KNOWN,
    ToyCosts,
    evaluate,
    search,
    toy_problem,
    trial_of,
)
from search_spaces import Choice, SearchSpace
from tests import small_brought

OWN = Reference(loss=0.5, size=100.0, is_brought=True)


def test_the_reward_is_0_where_nothing_was_saved_and_most_where_all_was() -> None:
    assert reward(0.5, 100.0, OWN) == 0.0
    assert reward(0.5, 0.0, OWN) == 1.0
    rewards = [reward(0.5, size, OWN) for size in (100.0, 75.0, 50.0, 25.0, 0.0)]
    assert rewards == sorted(rewards)
    assert rewards[2] == pytest.approx(0.5 * 1.5)  # C (2 - C)
    assert reward(1.0, 50.0, OWN) == pytest.approx(0.375), "twice the loss is half the quality"
    assert reward(0.5, 1e6, OWN) == INVALID
    assert reward(0.5, math.nan, OWN) == 1.0


def test_quality_is_a_share_of_the_brought_networks() -> None:
    assert quality(-0.8, -0.9) == pytest.approx(8 / 9), "of what is to be maximised"
    assert quality(0.0, 0.5) == quality(0.01, 0.5) == MOST_QUALITY
    assert quality(0.3, -0.1) == quality(-0.3, 0.1) == 0.0
    assert quality(0.0, 0.0) == 1.0


def random_decisions(rng: np.random.Generator) -> Decisions:
    numbers = np.array([3, 2, 4, 1, 3])
    is_option_TO = np.arange(4) < numbers[:, None]
    options_TOF = rng.standard_normal((5, 4, 3)) * is_option_TO[:, :, None]
    return Decisions(
        inputs_TI=rng.standard_normal((5, 2)), options_TOF=options_TOF, is_option_TO=is_option_TO
    )


def test_the_gradient_of_the_policy_is_that_of_differences() -> None:
    rng = np.random.default_rng(0)
    decisions = random_decisions(rng)
    policy = Recurrent.fresh(decisions.num_read, 4, 3, rng)
    policy = policy.plus(policy, 9.0)  # gates that are neither open nor closed
    taken_T, is_counted_T = np.array([2, 0, 3, 0, 1]), np.array([True, True, False, True, True])

    def log_likelihood(policy: Recurrent) -> float:
        likelihood_T = policy.likelihoods(decisions, taken_T)[np.arange(5), taken_T]
        return float(np.log(likelihood_T)[is_counted_T].sum())

    found = policy.gradient(decisions, taken_T, is_counted_T)
    for _ in range(10):
        direction = Recurrent(*(rng.standard_normal(w.shape) for w in vars(policy).values()))
        ahead, behind = (log_likelihood(policy.plus(direction, by)) for by in (1e-5, -1e-5))
        slope = sum(
            float((a * b).sum())
            for a, b in zip(vars(found).values(), vars(direction).values(), strict=True)
        )
        assert slope == pytest.approx((ahead - behind) / 2e-5, rel=1e-4, abs=1e-6)


def test_options_are_drawn_as_likely_as_the_policy_says() -> None:
    rng = np.random.default_rng(1)
    decisions = random_decisions(rng)
    policy = Recurrent.fresh(decisions.num_read, 4, 3, rng)
    policy = policy.plus(policy, 9.0)
    rows_NT = policy.drawn(decisions, 4000, rng)
    assert (rows_NT < decisions.is_option_TO.sum(axis=1)).all()
    for first in range(3):
        taken_T = np.array([first, 0, 0, 0, 0])
        likelihood_TO = policy.likelihoods(decisions, taken_T)
        of_first_NT = rows_NT[rows_NT[:, 0] == first]
        often_O = np.bincount(of_first_NT[:, 1], minlength=4) / len(of_first_NT)
        deviation = 0.5 / np.sqrt(len(of_first_NT))
        assert np.abs(often_O - likelihood_TO[1]).max() < 5 * deviation


def test_what_is_removed_is_decided_first() -> None:
    space = toy_problem().space
    order = [space.choices[column].name for column in decided_in_turn(space)]
    assert order[0] == "depth"
    assert sorted(order) == sorted(choice.name for choice in space.choices)
    choices = (Choice("a.sparsity", (0.0, 0.5)), Choice("b.depth", (2, 1)))
    assert decided_in_turn(SearchSpace("table", choices)).tolist() == [1, 0]


def test_one_policy_decides_about_any_network() -> None:
    small, large = (toy_problem(blocks=range(1, n)) for n in (3, 9))
    policy = N2N().begin(small).policy
    columns_T = decided_in_turn(large.space)
    rows_NT = policy.drawn(decisions_of(large, columns_T), 4, np.random.default_rng(0))
    assert rows_NT.shape == (4, len(large.space.choices))


def test_the_size_is_what_is_limited_and_the_unchanged_network_is_about_the_largest() -> None:
    assert size_metric(toy_problem(max_macs=100.0)) == "macs"
    assert size_metric(toy_problem(model=NOTHING_KNOWN)) == "macs", "an objective"
    one = dataclasses.replace(
        toy_problem(model=NOTHING_KNOWN), objectives=(Objective("log_loss", "minimize"),)
    )
    assert size_metric(one) == ""
    problem = toy_problem()
    size = ToyCosts().of("macs", unchanged(problem)[None])[0]
    assert size > 0.8 * ToyCosts().of("macs", np.array([[3] + 4 * [2, 2, 2]]))[0]


def brought() -> Problem:
    space = small_brought.supernet().space
    assert space.costs is not None
    objectives = (Objective("log_loss", "minimize"), Objective("params", "minimize"))
    return Problem(space=space, objectives=objectives, model=space.costs)


def brought_trial(problem: Problem, encoding: tuple[int, ...], loss: float) -> Trial:
    predicted = {"params": float(problem.model.of("params", np.array([encoding]))[0])}
    candidate = problem.space.candidate(encoding)
    return Trial(number=0, candidate=candidate, metrics={"log_loss": loss}, predicted=predicted)


def test_the_brought_network_comes_first_and_is_what_others_are_compared_with() -> None:
    problem, controller = brought(), N2N()
    own = (0,) * len(problem.space.choices)
    [first] = controller.ask(problem, [], 1)
    assert first.encoding == own
    state = controller.begin(problem)
    smallest = problem.space.canonical([n - 1 for n in problem.space.cardinalities])
    state = controller.fold(problem, state, brought_trial(problem, smallest, 0.1))
    own_size = float(problem.model.of("params", np.array([own]))[0])
    assert state.reference == Reference(0.1, own_size)
    state = controller.fold(problem, state, brought_trial(problem, own, 0.4))
    assert state.reference == Reference(0.4, own_size, is_brought=True)
    assert controller.fold(problem, state, brought_trial(problem, smallest, 0.1)).reference == (
        state.reference
    )


def test_networks_over_a_measured_limit_are_invalid() -> None:
    problem = dataclasses.replace(toy_problem(), limits=(Limit("latency_ms", 1.0),))
    controller, candidate = N2N(), problem.space.candidate([0] * 13)
    fast = trial_of(0, candidate, metrics={**evaluate(candidate), "latency_ms": 0.5})
    state = controller.fold(problem, controller.begin(problem), fast)
    slow = trial_of(1, candidate, metrics={**evaluate(candidate), "latency_ms": 2.0})
    taken_T = np.zeros(13, dtype=int)
    before = state.policy.likelihoods(state.decisions, taken_T)
    after = controller.fold(problem, state, slow).policy.likelihoods(state.decisions, taken_T)
    assert np.log(after[:4, 0]).sum() < np.log(before[:4, 0]).sum()


def rewards_of(controller: AbstractController, problem: Problem, num_trials: int) -> np.ndarray:
    trials = search(controller, problem, num_trials)
    own = trial_of(0, problem.space.candidate(unchanged(problem).tolist()))
    reference = Reference(own.metrics["log_loss"], own.predicted["macs"])
    return np.array([reward(t.metrics["log_loss"], t.predicted["macs"], reference) for t in trials])


def test_after_as_many_trials_its_rewards_are_better_than_random_ones() -> None:
    """Seeds are fixed; the mean of the last 20 of 120 trials: 0.51, and 0.43 of random ones."""
    problem = toy_problem()
    late = [
        [rewards_of(make(seed=seed), problem, 120)[-20:].mean() for seed in range(5)]
        for make in (N2N, Random)
    ]
    own, random = np.mean(late, axis=1)
    assert own > random + 2 * np.std(late[1], ddof=1) / np.sqrt(5)
