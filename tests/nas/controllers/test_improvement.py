"""Boxes cover what is not dominated; the expected gain is what sampling says it is."""

import numpy as np
import pytest

from nas.controllers._improvement import expected_improvement, open_boxes
from nas.problem.pareto import hypervolume


def gains(losses_NM: np.ndarray, reference_M: np.ndarray, points_KM: np.ndarray) -> np.ndarray:
    """How much hypervolume each point adds by itself."""
    before = hypervolume(losses_NM, reference_M)
    return np.array(
        [hypervolume(np.vstack([losses_NM, point]), reference_M) - before for point in points_KM]
    )


@pytest.mark.parametrize("num_objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("num_rows", [0, 1, 15])
def test_an_exact_loss_gains_exactly_what_it_adds(num_objectives: int, num_rows: int) -> None:
    rng = np.random.default_rng(num_objectives)
    losses_NM = rng.random((num_rows, num_objectives))
    reference_M = np.full(num_objectives, 0.9)
    points_KM = rng.random((40, num_objectives))
    boxes = open_boxes(losses_NM, reference_M)
    expected = expected_improvement(points_KM, np.zeros_like(points_KM), boxes)
    np.testing.assert_allclose(expected, gains(losses_NM, reference_M, points_KM), atol=1e-9)


def test_equal_and_dominated_rows_change_nothing() -> None:
    losses_NM = np.array([[0.2, 0.6], [0.2, 0.6], [0.2, 0.5], [0.7, 0.5], [0.5, 0.2]])
    reference_M = np.ones(2)
    points_KM = np.random.default_rng(0).random((30, 2))
    expected = expected_improvement(
        points_KM, np.zeros_like(points_KM), open_boxes(losses_NM, reference_M)
    )
    np.testing.assert_allclose(expected, gains(losses_NM, reference_M, points_KM), atol=1e-9)


@pytest.mark.parametrize("num_objectives", [1, 2, 3])
def test_the_expectation_is_the_mean_over_samples(num_objectives: int) -> None:
    """3,000 samples: the error of the mean is about 3 % of the gain; 12 % are allowed."""
    rng = np.random.default_rng(5)
    losses_NM = rng.random((8, num_objectives))
    reference_M = np.ones(num_objectives)
    mean_M, std_M = np.full(num_objectives, 0.4), np.full(num_objectives, 0.3)
    samples_KM = mean_M + std_M * rng.standard_normal((3000, num_objectives))
    sampled = gains(losses_NM, reference_M, samples_KM).mean()
    boxes = open_boxes(losses_NM, reference_M)
    expected = expected_improvement(mean_M[None], std_M[None], boxes)[0]
    assert expected == pytest.approx(sampled, rel=0.12)


def test_more_doubt_about_a_dominated_point_is_worth_more() -> None:
    boxes = open_boxes(np.array([[0.5, 0.5]]), np.ones(2))
    mean_NM = np.full((3, 2), 0.6)
    std_NM = np.array([[0.0, 0.0], [0.1, 0.1], [0.3, 0.3]])
    gain = expected_improvement(mean_NM, std_NM, boxes)
    assert gain[0] == 0.0
    assert 0.0 < gain[1] < gain[2]
