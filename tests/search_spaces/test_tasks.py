"""What follows from a task's two metrics, for a share of right answers and for an error."""

import json
from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import (
    AbstractClassTask,
    Confusion,
    Metric,
    labels_in,
    naming_task,
    task_in,
    task_of,
)
from search_spaces.tasks._confusion import MOST_PAIRS

SHARE = task_of("classification").shown
ERROR = Metric(name="error", title="error", unit="steps")


@final
class Steps(AbstractClassTask):
    """Outputs are answers; the error is how far they are from the label."""

    loss: ClassVar[Metric] = Metric(name="square", title="squared error")
    shown: ClassVar[Metric] = ERROR

    def num_outputs(self, num_classes: int) -> int:
        return 1

    def judge(self, outputs_NK: np.ndarray, labels_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        apart_N = np.abs(outputs_NK[:, 0] - labels_N)
        return apart_N**2, apart_N

    def answers(self, outputs_NK: np.ndarray) -> np.ndarray:
        return outputs_NK[:, 0].astype(int)

    def guessing(self, labels: Sequence[int]) -> tuple[float, float]:
        return len(labels) ** 2 / 12, len(labels) / 4


def test_a_record_of_an_error_has_its_deviation_and_gives_the_metrics_back() -> None:
    task, outputs, labels = Steps(), np.array([[1.0], [2.0], [6.0]]), np.array([1, 1, 1])
    losses, shown = task.judge(outputs, labels)
    record = task.record(losses.tolist(), shown.tolist())
    assert list(record) == list(task.record_fields())
    assert record == {
        "error": 2.0,
        "deviation": pytest.approx(shown.std()),
        "total": 3,
        "square": pytest.approx(26 / 3),
    }
    assert task.metrics_of(record) == pytest.approx(task.metrics(outputs, labels))
    assert task.metrics_of({}) == {"error": None, "square": None}


def test_metrics_are_written_with_their_units() -> None:
    assert (SHARE.text(0.9314), SHARE.text(0.75, 0), SHARE.head) == ("93.1%", "75%", "accuracy %")
    assert (ERROR.text(0.4213), ERROR.head, ERROR.axis) == ("0.421 steps", "error steps", "Error")
    assert Steps.loss.text(2.5) == "2.5"


def test_the_best_is_the_largest_share_and_the_smallest_error() -> None:
    assert SHARE.best_of([0.2, None, 0.9, 0.5]) == 0.9
    assert ERROR.best_of([0.2, None, 0.9, 0.5]) == 0.2
    assert ERROR.best_of([None]) is None


def test_records_name_a_task_only_if_it_is_not_classification() -> None:
    assert (naming_task("classification"), naming_task("steps")) == ({}, {"task": "steps"})
    assert task_in({}) is task_of("classification")


def test_guessing_knows_how_frequent_classes_are() -> None:
    loss, accuracy = task_of("classification").guessing([400, 24, 0])
    assert accuracy == pytest.approx(400 / 424)
    probabilities = np.array([400, 24]) / 424
    assert loss == pytest.approx(-(probabilities * np.log(probabilities)).sum())
    assert task_of("classification").guessing([5] * 10) == pytest.approx((np.log(10), 0.1))


def test_a_balanced_loss_is_what_training_minimises_where_classes_count_alike() -> None:
    task, outputs, labels = Steps(), np.array([[1.0], [2.0], [6.0]]), np.array([1, 1, 2])
    losses, shown = task.judge(outputs, labels)
    weights = np.array([3 / 4, 3 / 4, 3 / 2])  # images / (classes * images of the class)
    found = task.metrics(outputs, labels, is_balanced=True)
    assert found == {"square": pytest.approx((weights * losses).mean()), "error": shown.mean()}
    record = task.record(losses.tolist(), shown.tolist(), balanced_by=labels.tolist())
    assert record["balanced"] is True
    assert task.metrics_of(record) == pytest.approx(found)
    told = task_of("classification").guessed([400, 24, 0], is_balanced=True)
    assert told == pytest.approx((np.log(2), 400 / 424))
    assert Steps().guessed([5, 5], is_balanced=False) == Steps().guessing([5, 5])


labels_and_answers = st.integers(1, 12).flatmap(
    lambda k: st.tuples(
        st.just(k),
        st.lists(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)), min_size=1, max_size=60),
    )
)


@given(labels_and_answers)
def test_a_confusion_adds_up_and_comes_back_from_a_card(
    drawn: tuple[int, list[tuple[int, int]]],
) -> None:
    num_classes, pairs = drawn
    labels_N, answers_N = np.array(pairs).T
    found = Confusion.of(labels_N, answers_N, num_classes)
    assert sum(found.labels) == sum(found.answers) == len(pairs)
    wrong = sum(images for _, _, images in found.confused)
    assert sum(found.right) + wrong == len(pairs)
    assert all(pairs.count((label, answer)) == n for label, answer, n in found.confused)
    said = task_of("classification").counts(labels_N, answers_N, num_classes)
    assert Confusion.of_record(json.loads(json.dumps(said))) == found
    recalls = [found.right[k] / n for k, n in enumerate(found.labels) if n]
    assert found.balanced_accuracy == pytest.approx(np.mean(recalls))


def test_of_many_classes_the_most_frequent_confusions_are_kept() -> None:
    labels_N = np.arange(1000).repeat(2)
    answers_N = (labels_N + 1) % 1000
    answers_N[1] = 5  # class 0 is called two things once each
    found = Confusion.of(labels_N, answers_N, 1000)
    assert len(found.confused) == MOST_PAIRS
    assert found.confused[0] == (1, 2, 2)


def test_tasks_whose_answers_are_no_classes_count_labels_alone() -> None:
    said = Steps().counts(np.array([0, 2, 2]), np.array([7, 1, 2]), 4)
    assert said == {"labels": [1, 0, 2, 0]}
    assert labels_in(said) == (1, 0, 2, 0)
    assert Confusion.of_record(said) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("labels", None),
        ("labels", [0, 0]),
        ("labels", [3, -1]),
        ("confusion", []),
        ("answers", [3]),
        ("right", [3, 2]),
        ("confused", [[0, 2, 1]]),
        ("confused", [[0, 1]]),
    ],
)
def test_counts_that_are_none_are_not_taken_for_some(name: str, value: Any) -> None:
    record: dict[str, Any] = task_of("classification").counts(
        np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 2
    )
    assert Confusion.of_record(record) is not None
    holder = record if name in record else record["confusion"]
    holder[name] = value
    assert Confusion.of_record(record) is None
