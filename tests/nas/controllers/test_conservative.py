"""The conservative explorer: small changes of the front, in classes that are not decided."""

import numpy as np
import pytest

from nas.controllers.conservative import (
    LEAST,
    Conservative,
    class_entropies,
    classes_of,
)
from nas.problem.pareto import ParetoFront
from nas.testing.toy_problem import NOTHING_KNOWN, search, toy_problem, trial_of
from search_spaces import UserError


def test_a_proposal_is_a_member_of_the_front_but_for_one_class() -> None:
    problem = toy_problem(model=NOTHING_KNOWN)
    trials = search(Conservative(seed=1), problem, 30)
    front = ParetoFront.of(problem, trials).trials
    classes = classes_of(problem.space)
    assert classes.keys() == {"depth", "operator", "width", "kernel_size"}
    asked = Conservative(seed=1, changes=3.0).ask(problem, trials, 20)
    assert len(asked) == 20
    for candidate in asked:
        row_1C = np.array([candidate.encoding])
        is_active_C = problem.space.is_active(row_1C)[0]
        changed = [
            {
                name
                for name, columns in classes.items()
                if any(
                    is_active_C[c] and candidate.encoding[c] != member.candidate.encoding[c]
                    for c in columns
                )
            }
            for member in front
        ]
        assert min(map(len, changed)) == 1


def test_classes_are_redrawn_as_often_as_they_are_undecided() -> None:
    problem, controller = toy_problem(model=NOTHING_KNOWN), Conservative(warm_up=1, explore=0.0)
    state = controller.begin(problem)
    logits_CO = state.logits_CO.copy()
    classes = classes_of(problem.space)
    for column in (*classes["operator"], *classes["width"]):
        logits_CO[column, 1] = 50.0
    found = dict(zip(classes, class_entropies(logits_CO, classes), strict=True))
    assert found["kernel_size"] == pytest.approx(np.log(3))
    assert max(found["operator"], found["width"]) < LEAST
    largest = problem.space.candidate([3] + 12 * [1])
    state = controller.fold(problem, state, trial_of(0, largest))._replace(logits_CO=logits_CO)
    rng = np.random.default_rng(0)
    children_NC = np.concatenate(list(controller.draws(problem, state, rng)))
    differs_C = (children_NC != np.array(largest.encoding)).any(axis=0)
    assert not differs_C[classes["operator"] + classes["width"]].any()
    assert differs_C[classes["kernel_size"]].all()


def test_only_what_was_changed_is_learnt() -> None:
    problem, controller = toy_problem(), Conservative()
    base = problem.space.candidate([1] + 12 * [0])
    other = problem.space.candidate([1, 0, 0, 2] + 9 * [0])  # wider kernels in the first block
    first = controller.fold(problem, controller.begin(problem), trial_of(0, base))
    better = trial_of(1, other, metrics={"log_loss": 1.0}, predicted={"macs": 1.0})
    second = controller.fold(problem, first, better)
    learnt_C = (second.likelihood_CO != first.likelihood_CO).any(axis=1)
    assert np.flatnonzero(learnt_C).tolist() == [3]
    assert second.likelihood_CO[3].argmax() == 2


def test_a_space_without_choices_that_differ_has_one_candidate() -> None:
    problem = toy_problem(blocks=(1,))
    space = problem.space.restricted({c.name: c.options[:1] for c in problem.space.choices})
    assert classes_of(space) == {}


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(UserError, match="controller 'conservative': explore is 2.0"):
        Conservative(explore=2.0)
