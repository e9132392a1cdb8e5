"""Likelihoods of options: what is drawn, and gradients as differences have them."""

from collections.abc import Callable

import numpy as np
import pytest

from search_spaces import Choice, SearchSpace
from search_spaces._likelihoods import (
    drawn,
    entropies,
    entropy_gradient,
    even_logits,
    likelihoods,
    towards,
)

SPACE = SearchSpace(
    "table", (Choice("depth", (1, 2)), Choice("width", (8, 16, 32)), Choice("operator", ("conv",)))
)


@pytest.fixture
def logits_CO() -> np.ndarray:
    return even_logits(SPACE) + np.random.default_rng(0).standard_normal((3, 3))


def differences(function: Callable[[np.ndarray], float], logits_CO: np.ndarray) -> np.ndarray:
    found_CO = np.zeros_like(logits_CO)
    for place in zip(*np.nonzero(np.isfinite(logits_CO)), strict=True):
        step_CO = np.zeros_like(logits_CO)
        step_CO[place] = 1e-5
        found_CO[place] = (function(logits_CO + step_CO) - function(logits_CO - step_CO)) / 2e-5
    return found_CO


def test_options_are_drawn_as_often_as_they_are_likely(logits_CO: np.ndarray) -> None:
    found_NC = drawn(logits_CO, 20_000, np.random.default_rng(1))
    often_CO = np.array([np.bincount(column, minlength=3) for column in found_NC.T]) / 20_000
    assert np.allclose(often_CO, likelihoods(logits_CO), atol=0.02)  # 5 standard deviations
    assert (found_NC < np.array(SPACE.cardinalities)).all()


def test_gradients_are_differences_of_likelihoods_and_entropies(logits_CO: np.ndarray) -> None:
    encoding_1C, columns = np.array([[1, 2, 0]]), [0, 1, 2]

    def log_likelihood(logits_CO: np.ndarray) -> float:
        return float(np.log(likelihoods(logits_CO)[columns, encoding_1C[0]]).sum())

    (found_CO,) = towards(logits_CO, encoding_1C, np.ones((1, 3), dtype=bool))
    assert np.allclose(found_CO, differences(log_likelihood, logits_CO), atol=1e-8)
    uncounted = towards(logits_CO, encoding_1C, np.array([[True, False, True]]))[0, 1]
    assert not uncounted.any()
    of_entropy_CO = differences(lambda logits: float(entropies(logits).sum()), logits_CO)
    assert np.allclose(entropy_gradient(logits_CO), of_entropy_CO, atol=1e-8)


def test_the_entropy_is_that_of_even_options_at_first_and_0_when_decided() -> None:
    assert np.allclose(entropies(even_logits(SPACE)), np.log([2, 3, 1]))
    decided_CO = even_logits(SPACE) + 1000.0 * np.eye(3)
    assert np.allclose(entropies(decided_CO), 0.0)
    assert np.allclose(entropy_gradient(decided_CO), 0.0)
