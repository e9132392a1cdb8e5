"""The Wilson interval."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports import wilson
from reports.intervals import normal


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_agrees_with_published_intervals(
    correct: int, total: int, low: float, high: float
) -> None:
    """Source: Newcombe, Two-sided confidence intervals for the single proportion (1998), Table I,
    method 3; four decimals."""
    assert wilson(correct, total) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_stays_a_probability(counts: tuple[int, int]) -> None:
    correct, total = counts
    low, high = wilson(correct, total)
    assert 0.0 <= low <= correct / total <= high <= 1.0
    assert low < high


def test_wilson_mirrors_right_and_wrong_answers() -> None:
    low, high = wilson(13, 40)
    assert wilson(27, 40) == pytest.approx((1 - high, 1 - low))


def test_wilson_narrows_with_more_images_and_widens_with_more_confidence() -> None:
    def width(bounds: tuple[float, float]) -> float:
        return bounds[1] - bounds[0]

    assert width(wilson(600, 1000)) < width(wilson(60, 100)) < width(wilson(60, 100, z=2.58))


@pytest.mark.parametrize(("correct", "total"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_counts_that_cannot_be(correct: int, total: int) -> None:
    with pytest.raises(ValueError, match="needs 0 <= correct <= total"):
        wilson(correct, total)


def test_a_mean_of_many_images_is_nearly_sure() -> None:
    assert normal(2.0, 1.0, 100) == pytest.approx((1.804, 2.196))
    assert normal(2.0, 0.0, 100) == (2.0, 2.0)
