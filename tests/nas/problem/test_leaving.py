"""Where images leave a network, and at which threshold that costs what it may."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.problem.leaving import ALWAYS, NEVER, Leaving

COSTS = (1.0, 3.0, 7.0)


def drawn(seed: int, images: int = 60) -> Leaving:
    """Later exits are surer and more often right; some are sure to the last digit."""
    rng = np.random.default_rng(seed)
    confidences = np.sort(rng.uniform(0.1, 1.0, (images, 3)), axis=1)
    confidences[rng.random((images, 3)) < 0.1] = 1.0
    is_right = rng.random((images, 3)) < confidences
    return Leaving(confidences.astype(np.float32), is_right)


seeds = st.integers(0, 10_000)


@given(seeds)
def test_at_1_the_last_exit_answers_always_and_at_0_the_first(seed: int) -> None:
    leaving = drawn(seed)
    assert set(leaving.exits(NEVER)) == {2}
    assert set(leaving.exits(ALWAYS)) == {0}
    assert leaving.mean_cost(NEVER, COSTS) == COSTS[-1]
    assert leaving.accuracy(NEVER) == leaving.is_right_NE[:, -1].mean()


@given(seeds, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_lets_no_image_leave_earlier(seed: int, a: float, b: float) -> None:
    leaving = drawn(seed)
    low, high = sorted((a, b))
    assert (leaving.exits(low) <= leaving.exits(high)).all()
    assert leaving.mean_cost(low, COSTS) <= leaving.mean_cost(high, COSTS)
    assert sum(leaving.shares(low)) == pytest.approx(1.0)


@given(seeds, st.floats(1.0, 7.0))
def test_a_target_is_kept_and_the_next_threshold_would_not_keep_it(seed: int, most: float) -> None:
    leaving = drawn(seed)
    found = leaving.within(COSTS, most)
    assert found is not None
    assert leaving.mean_cost(found, COSTS) <= most
    higher = [threshold for threshold in leaving.tried() if threshold > found]
    assert not higher or leaving.mean_cost(higher[0], COSTS) > most


def test_a_target_below_the_first_exit_has_no_threshold() -> None:
    assert drawn(0).within(COSTS, 0.9) is None


@given(seeds)
def test_as_good_is_no_worse_than_the_last_exit(seed: int) -> None:
    leaving = drawn(seed)
    threshold = leaving.as_good()
    assert leaving.accuracy(threshold) >= leaving.accuracy(NEVER)
    lower = [t for t in leaving.tried() if t < threshold]
    assert all(leaving.accuracy(t) < leaving.accuracy(NEVER) for t in lower)


def test_of_many_images_not_every_threshold_is_tried() -> None:
    tried = drawn(0, images=5000).tried()
    assert len(tried) <= 1001
    assert tried == sorted(tried)
    assert (tried[0], tried[-1]) == (ALWAYS, NEVER)
