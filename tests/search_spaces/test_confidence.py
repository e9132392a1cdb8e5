"""Expected calibration error: of answers that are as right as they claim, and of others."""

import numpy as np
import pytest

from search_spaces import expected_calibration_error, task_of


def test_answers_that_are_right_as_often_as_they_claim_have_no_error() -> None:
    confidences_N = np.repeat([0.25, 0.75, 1.0], 4)
    is_right_N = np.array([1, 0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1])
    assert expected_calibration_error(confidences_N, is_right_N) == pytest.approx(0.0)


def test_the_error_is_the_gap_of_each_bin_by_its_share_of_images() -> None:
    confidences_N = np.array([0.95, 0.99, 0.5, 0.5])
    is_right_N = np.array([1, 0, 0, 0])
    expected = (abs(0.97 - 0.5) * 2 + 0.5 * 2) / 4
    assert expected_calibration_error(confidences_N, is_right_N) == pytest.approx(expected)


def test_a_bin_has_its_upper_end_and_gaps_of_one_bin_cancel() -> None:
    # 0.5 belongs to the first of two bins, where one answer too few is right and one too many.
    pair = np.array([0.5, 0.5]), np.array([1, 0])
    assert expected_calibration_error(*pair, bins=2) == 0.0
    apart = np.array([0.5, 0.51]), np.array([1, 0])
    assert expected_calibration_error(*apart, bins=2) == pytest.approx((0.5 + 0.51) / 2)


def test_sure_and_wrong_is_the_worst() -> None:
    assert expected_calibration_error(np.ones(3), np.zeros(3)) == 1.0
    assert expected_calibration_error(np.zeros(3), np.zeros(3)) == 0.0


def test_the_confidence_of_a_class_is_its_softmax() -> None:
    outputs_NK = np.array([[0.0, 0.0], [1000.0, 0.0], [np.log(3.0), 0.0]], np.float32)
    found_N = task_of("classification").confidences(outputs_NK)
    assert found_N == pytest.approx([0.5, 1.0, 0.75])
