"""Losses and metrics of classification, exactly."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import task_of
from supernets.tasks._base import losses_of
from tests.strategies import noise

TASK, LOSSES = task_of("classification"), losses_of("classification")
label_loss, distillation_loss = LOSSES.label_loss, LOSSES.distillation_loss


@given(st.integers(0, 2**32 - 1))
def test_numpys_log_loss_is_torchs(seed: int) -> None:
    logits, labels = noise(20, 7, seed=seed), torch.arange(20) % 7
    losses, is_right = TASK.judge(logits.numpy(), labels.numpy())
    found = TASK.record(losses.tolist(), is_right.tolist())
    loss = label_loss(logits, labels, smoothing=0).item()
    assert found["log_loss"] == pytest.approx(loss, rel=1e-5)
    assert found["correct"] == int((logits.argmax(1) == labels).sum())
    assert list(found) == list(TASK.record_fields())
    assert (found["fraction"], found["total"]) == (found["correct"] / 20, 20)
    assert TASK.metrics_of(found) == pytest.approx(TASK.metrics(logits.numpy(), labels.numpy()))


def test_huge_logits_have_a_finite_log_loss() -> None:
    logits = np.array([[1e4, 0.0], [0.0, 1e4]], dtype=np.float32)
    found = TASK.metrics(logits, np.array([0, 0]))
    assert found == {"log_loss": pytest.approx(5000), "accuracy": 0.5}


def test_a_student_equal_to_its_teacher_has_no_gradient() -> None:
    teacher = noise(5, 4)
    student = teacher.clone().requires_grad_()
    distillation_loss(student, teacher).backward()
    assert student.grad.abs().max() < 1e-6


def test_a_teacher_that_is_certain_is_a_label() -> None:
    logits, labels = noise(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    certain = 1e3 * torch.nn.functional.one_hot(labels, 4).float()
    expected = label_loss(logits, labels, smoothing=0)
    torch.testing.assert_close(distillation_loss(logits, certain), expected)


def test_smoothing_moves_a_tenth_of_the_target_to_all_classes() -> None:
    logits, labels = noise(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    even = -logits.log_softmax(1).mean()
    expected = 0.9 * label_loss(logits, labels, smoothing=0) + 0.1 * even
    torch.testing.assert_close(label_loss(logits, labels, smoothing=0.1), expected)
