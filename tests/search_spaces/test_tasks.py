"""What follows from a task's two metrics, for a share of right answers and for an error."""

from typing import ClassVar, final

import numpy as np
import pytest

from search_spaces import AbstractTask, Metric, naming_task, task_in, task_of

SHARE = task_of("classification").shown
ERROR = Metric(name="error", title="error", unit="steps")


@final
class Steps(AbstractTask):
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

    def guessing(self, num_classes: int) -> tuple[float, float]:
        return num_classes**2 / 12, num_classes / 4


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
