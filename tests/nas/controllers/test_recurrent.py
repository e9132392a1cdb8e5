"""The recurrent controller: what it sees of a space, and that it learns what depends on what."""

import numpy as np

from nas.controllers.recurrent import Learnt, RecurrentPolicy, decisions_of
from nas.problem.problem import NothingKnown, Objective, Problem
from nas.problem.trial import Trial
from search_spaces import Choice, SearchSpace


def cell_space() -> SearchSpace:
    """Two nodes, of which one is good with an operation that is bad in the other."""
    operations = ("conv", "pool", "identity")
    names = ("node1.operation", "node2.operation")
    return SearchSpace("cell", tuple(Choice(name, operations) for name in names))


def problem() -> Problem:
    objectives = (Objective("log_loss", "minimize"),)
    return Problem(space=cell_space(), objectives=objectives, model=NothingKnown())


def trial_of(number: int, row: tuple[int, ...], loss: float) -> Trial:
    candidate = cell_space().candidate(row)
    return Trial(number=number, candidate=candidate, metrics={"log_loss": loss}, predicted={})


def test_options_of_one_name_are_one_wherever_they_stand() -> None:
    decisions = decisions_of(cell_space())
    first, second = decisions.options_TOF
    assert np.array_equal(first, second)
    assert np.array_equal(first, np.eye(3))
    assert decisions.is_option_TO.all()


def test_what_is_good_behind_one_operation_is_learnt_for_that_one() -> None:
    """Good are pairs of different operations: no option is good or bad by itself."""
    rng, controller = np.random.default_rng(0), RecurrentPolicy(step_size=2.0, forget=0.05)
    state = controller.begin(problem())
    for number in range(400):
        row = tuple(rng.integers(0, 3, 2).tolist())
        loss = 1.0 + 0.01 * rng.random() + (2.0 if row[0] == row[1] else 0.0)
        state = controller.fold(problem(), state, trial_of(number, row, loss))
    for option in range(3):
        chances_TO = state.policy.likelihoods(state.decisions, np.array([option, option]))
        assert chances_TO[1, option] < 0.2, "an operation behind itself"


def test_a_trial_that_is_better_than_others_becomes_likelier() -> None:
    controller = RecurrentPolicy()
    trials = [trial_of(0, (0, 1), 1.0), trial_of(1, (2, 2), 0.5)]
    before = state = controller.begin(problem())
    for each in trials:
        state = controller.fold(problem(), state, each)
    good = trials[1].candidate.encoding

    def likelihood(learnt: Learnt) -> float:
        found_TO = learnt.policy.likelihoods(learnt.decisions, np.array(good))
        return float(found_TO[np.arange(2), good].prod())

    assert likelihood(state) > likelihood(before)
