"""Who may be guessing: by the share of right answers on this split, and class by class."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest

from nas.data import DataSet
from nas.front.guessing import LUCK_OF_CLASSES, guesses, luck, luck_of_classes, remedy
from search_spaces import Confusion, task_of
from tests.search_spaces.test_tasks import Steps

TASK = task_of("classification")
OK, DEFECT = 0, 1
LABELS_N = np.array([OK] * 60 + [DEFECT] * 4)
"""As the search split of 400 images that are ok and 24 that are not."""


def card(answers_N: np.ndarray, labels_N: np.ndarray = LABELS_N, **changes: Any) -> dict[str, Any]:
    is_right_N = (answers_N == labels_N).astype(float)
    record = TASK.record([1.0] * len(labels_N), is_right_N.tolist())
    record |= TASK.counts(labels_N, answers_N, 2) | changes
    return {"classes": ["ok", "defect"], "files": {"model.onnx": {"accuracy": {"search": record}}}}


def answers(*, found: int, false_alarms: int) -> np.ndarray:
    """Calls so many of the defects a defect, and so many others."""
    answers_N = np.zeros_like(LABELS_N)
    answers_N[60 : 60 + found] = DEFECT
    answers_N[:false_alarms] = DEFECT
    return answers_N


def test_who_always_says_the_most_frequent_class_is_no_result() -> None:
    reason = guesses(card(answers(found=0, false_alarms=0)))
    assert reason == "may be guessing: 60 of 64 right, one answer for all images gets 93.8%"


@pytest.mark.parametrize(
    ("found", "false_alarms", "is_result"),
    [
        (4, 0, True),
        (3, 5, True),  # 1 in 200 at random
        (3, 8, False),  # 1 in 70
        (1, 0, False),
        (4, 60, False),  # who always says defect
        (0, 3, False),
    ],
)
def test_who_finds_some_of_a_rare_class_is_a_result(
    found: int, false_alarms: int, is_result: bool
) -> None:
    assert (not guesses(card(answers(found=found, false_alarms=false_alarms)))) == is_result


def test_who_makes_no_mistake_is_a_result_even_if_the_split_has_two_rare_images() -> None:
    labels_N = np.array([OK] * 40 + [DEFECT] * 2)
    assert not guesses(card(labels_N, labels_N))


def test_cards_of_earlier_versions_are_compared_with_equally_frequent_classes() -> None:
    assert not guesses(card(answers(found=0, false_alarms=0), labels=None, confusion=None))
    half_N = np.where(np.arange(64) < 32, LABELS_N, 1 - LABELS_N)
    assert guesses(card(half_N, labels=None, confusion=None))


def test_answers_at_random_seldom_find_a_class() -> None:
    """500 draws: at most five are expected to find one, 15 with a probability of 1e-4."""
    rng = np.random.default_rng(0)
    labels_N = np.repeat(np.arange(10), 20)
    shares = rng.dirichlet(np.ones(10), 500)
    lucks = [
        luck_of_classes(Confusion.of(labels_N, rng.choice(10, 200, p=share), 10))
        for share in shares
    ]
    assert sum(value < LUCK_OF_CLASSES for value in lucks) <= 15
    assert luck_of_classes(Confusion.of(labels_N, labels_N, 10)) < 1e-12


def test_an_error_may_be_luck_unless_it_is_clearly_below_that_of_guessing() -> None:
    found = {"error": 2.0, "deviation": 1.0, "total": 100}
    assert luck(found, Steps.shown, guessing=2.0) == pytest.approx(0.5)
    assert luck(found, Steps.shown, guessing=2.5) < 1e-6
    assert luck(found, Steps.shown, guessing=1.5) > 0.99
    assert luck({**found, "deviation": 0.0}, Steps.shown, guessing=2.5) == 0.0


@dataclass
class Labels:
    """Stands for a data set, or for a split of it."""

    labels_N: np.ndarray
    classes: tuple[str, ...] = ("ok", "defect")
    num_classes: int = 2

    @property
    def train(self) -> "Labels":
        return self


def test_an_empty_front_says_what_would_help() -> None:
    guessed = [guesses(card(answers(found=0, false_alarms=0)))]
    rare, even = (cast(DataSet, Labels(np.repeat([0, 1], n))) for n in ([400, 24], [30, 24]))
    images = "Raise --time, add images of rare classes such as 'defect' (24 of 424 training images)"
    assert remedy(guessed, rare) == f"{images}, or give --set class_weights=balanced"
    assert remedy(guessed, even) == "Raise --time, or add images"
    slow = ["measured latency_ms 6.5 is over the limit 6"]
    assert remedy(slow, rare) == "Raise --time, or the budget"
