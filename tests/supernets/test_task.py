"""Losses and scores of classification."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from supernets.task import distillation_loss, label_loss, quality
from tests.strategies import noise


@given(st.integers(0, 2**32 - 1))
def test_numpys_log_loss_is_torchs(seed: int) -> None:
    logits, labels = noise(20, 7, seed=seed), torch.arange(20) % 7
    found = quality(logits.numpy(), labels.numpy())
    assert found.log_loss == pytest.approx(label_loss(logits, labels, smoothing=0).item(), rel=1e-5)
    assert found.correct == int((logits.argmax(1) == labels).sum())
    assert (found.accuracy, found.total) == (found.correct / 20, 20)


def test_huge_logits_have_a_finite_log_loss() -> None:
    logits = np.array([[1e4, 0.0], [0.0, 1e4]], dtype=np.float32)
    found = quality(logits, np.array([0, 0]))
    assert found.log_loss == pytest.approx(5000)
    assert found.correct == 1


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


def test_losses_of_half_precision_logits_are_fp32() -> None:
    logits, labels = noise(6, 4).bfloat16(), torch.tensor([0, 1, 2, 3, 0, 1])
    assert label_loss(logits, labels, smoothing=0).dtype == torch.float32
    assert distillation_loss(logits, logits).dtype == torch.float32
