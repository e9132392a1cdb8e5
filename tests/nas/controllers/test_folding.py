"""Controllers with a state: everything is folded once, and whatever was asked before, in between
or elsewhere changes nothing.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

from nas.controllers._folding import AbstractFolding
from nas.controllers.reinforce import Learnt, Reinforce
from nas.problem.problem import Limit, Problem
from nas.problem.trial import Trial
from nas.testing.toy_problem import search, toy_problem, trial_of

FOLDED: list[int] = []


@dataclasses.dataclass(frozen=True)
class Counting(AbstractFolding[int]):
    """Its state is how many trials it has seen."""

    seed: int = 0

    def begin(self, problem: Problem) -> int:
        return 0

    def fold(self, problem: Problem, state: int, trial: Trial) -> int:
        FOLDED.append(trial.number)
        return state + 1

    def draws(self, problem: Problem, state: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        yield problem.space.sample(rng, 8)


@pytest.fixture(autouse=True)
def _nothing_folded() -> None:
    FOLDED.clear()


def test_every_measured_trial_is_folded_once_and_in_order() -> None:
    problem, controller = toy_problem(), Counting(seed=11)
    trials = search(controller, problem, 20, batch=3)
    controller.ask(problem, trials, 1)
    controller.ask(problem, trials, 1)
    assert list(range(20)) == FOLDED


def test_failed_and_unfinished_trials_are_not_folded() -> None:
    problem, controller = toy_problem(), Counting(seed=12)
    trials = search(controller, problem, 4)
    FOLDED.clear()
    failed = dataclasses.replace(trials[1], metrics={}, failure="out of memory")
    waiting = dataclasses.replace(trials[3], metrics={})
    controller.ask(problem, [trials[0], failed, trials[2], waiting], 1)
    assert FOLDED == [0, 2]


def test_another_history_or_problem_begins_anew() -> None:
    problem = toy_problem()
    trials = search(Reinforce(seed=5), problem, 30)
    other = [dataclasses.replace(t, metrics={"log_loss": 7.0}) for t in trials[:10]] + trials[10:]
    fresh = [Reinforce(seed=5).ask(toy_problem(), history, 3) for history in (trials, other)]
    assert fresh[0] != fresh[1]
    for _ in range(2):
        assert Reinforce(seed=5).ask(problem, trials, 3) == fresh[0]
        assert Reinforce(seed=5).ask(problem, other, 3) == fresh[1]
        Reinforce(seed=5).ask(problem, trials[:7], 3)


def learnt_after(problem: Problem, trials: list[Trial]) -> Learnt:
    controller = Reinforce()
    state = controller.begin(problem)
    for trial in trials:
        state = controller.fold(problem, state, trial)
    return state


def test_options_of_good_trials_become_likelier() -> None:
    problem = toy_problem(blocks=(1,))
    rows = [(0, 0, 0, 0), (0, 1, 1, 1), (0, 2, 2, 2)]
    losses = (5.0, 9.0, 1.0)
    trials = [
        trial_of(
            i,
            problem.space.candidate(row),
            metrics={"log_loss": loss},
            predicted={"macs": loss},
        )
        for i, (row, loss) in enumerate(zip(rows, losses, strict=True))
    ]
    likelihood_CO = learnt_after(problem, trials).likelihood_CO
    assert np.allclose(likelihood_CO.sum(axis=1), 1.0)
    assert likelihood_CO[0].max() == 1.0  # one option
    assert (likelihood_CO[1:, 2] > likelihood_CO[1:, 0]).all()
    assert (likelihood_CO[1:, 0] > likelihood_CO[1:, 1]).all()


def test_a_trial_over_a_measured_limit_is_rewarded_least() -> None:
    problem = dataclasses.replace(toy_problem(), limits=(Limit("latency_ms", 1.0),))
    good, bad = (trial_of(i, problem.space.candidate([0] + 3 * [i] + 9 * [0])) for i in range(2))
    good = dataclasses.replace(good, metrics={**good.metrics, "latency_ms": 0.5})
    bad = dataclasses.replace(bad, metrics={**bad.metrics, "latency_ms": 1.5})
    likelihood_CO = learnt_after(problem, [good, bad]).likelihood_CO
    assert likelihood_CO[1, 1] < likelihood_CO[1, 0]


def test_choices_that_are_inactive_are_not_learnt() -> None:
    problem = toy_problem()
    shallow = problem.space.candidate([0] * 13)
    trials = [trial_of(i, shallow, metrics={"log_loss": 9.0 - i}) for i in range(3)]
    likelihood_CO = learnt_after(problem, trials).likelihood_CO
    assert np.allclose(likelihood_CO[4:, :3], 1 / 3)
