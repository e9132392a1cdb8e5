"""What `--max-drop` may say, and what a network loses."""

import numpy as np
import pytest

from nas.problem.drop import (
    DROP,
    drop_limit,
    drop_of,
    drop_text,
    limit_on_drop,
    paired_drop,
)
from nas.problem.problem import Limit
from search_spaces import DEFAULT_TASK, Metric, UserError, task_of

ACCURACY = task_of(DEFAULT_TASK).shown
ERROR = Metric(name="deviation", title="deviation", unit="levels")


def test_points_are_fractions_and_other_units_stay() -> None:
    points, levels = drop_limit("0.5%", ACCURACY), drop_limit(" .25 levels ", ERROR)
    assert (points.metric, points.max, points.text) == (DROP, 0.005, "max-drop 0.5%")
    assert levels.max == 0.25
    assert drop_limit("0%", ACCURACY).max == 0.0
    assert drop_text(points, 0.012345) == "1.24%"
    assert drop_text(levels, 0.3) == "0.3levels"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.5", "it has no unit. Here it is of accuracy %. Write --max-drop 0.5%"),
        ("1ms", "'ms' is not its unit"),
        ("-1%", "is not a number of points"),
        ("much", "is not a number of points"),
        ("101%", "Allowed: 0% to 100%"),
    ],
)
def test_all_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        drop_limit(text, ACCURACY)


def test_worse_is_positive_and_a_loss_of_the_limit_is_within_it() -> None:
    limit = drop_limit("0.5%", ACCURACY)
    assert limit.max < 0.95 - 0.945, "which is why differences are rounded"
    assert drop_of(0.945, 0.95, ACCURACY) == limit.max
    assert drop_of(0.96, 0.95, ACCURACY) < 0.0
    assert drop_of(0.5, 0.3, ERROR) == 0.2


def test_paired_answers_have_the_interval_of_the_images_that_differ() -> None:
    """Of 100 images one network alone has 8 right and the other alone 2: McNemar's table.

    By hand (Agresti and Min, 2005): (8.5 - 2.5) / 102 +- 1.96 sqrt(11 - 36 / 102) / 102.
    """
    brought = np.array([1] * 80 + [1] * 8 + [0] * 2 + [0] * 10)
    own = np.array([1] * 80 + [0] * 8 + [1] * 2 + [0] * 10)
    drop = paired_drop(own, brought, ACCURACY)
    assert drop.value == 0.06
    assert drop.interval == pytest.approx((-0.003880, 0.121527), abs=1e-5)
    assert drop.deviation == pytest.approx(np.sqrt(11 - 36 / 102) / 102)
    assert drop.chance_within(0.06) == 0.5
    assert drop.chance_within(0.06 + drop.deviation) == pytest.approx(0.8413, abs=1e-4)
    same = paired_drop(brought, brought, ACCURACY)
    assert same.value == 0.0
    assert same.interval == pytest.approx((-1.96 / 102, 1.96 / 102)), "not none: images are few"


def test_paired_losses_have_the_standard_error_of_their_differences() -> None:
    brought = np.array([1.0, 2.0, 3.0, 4.0])
    drop = paired_drop(brought + np.array([0.1, 0.3, 0.1, 0.3]), brought, ERROR)
    assert drop.value == pytest.approx(0.2)
    assert drop.deviation == pytest.approx(0.1 * np.sqrt(4 / 3) / 2)


def test_a_paired_interval_is_narrower_and_holds_as_often_as_it_says() -> None:
    """Over 2,000 draws: expected to hold in 95 %, standard deviation 0.5 % of the share."""
    rng, hits = np.random.default_rng(0), 0
    for _ in range(2000):
        kinds = rng.choice(4, size=500, p=[0.85, 0.05, 0.03, 0.07])
        own, brought = np.isin(kinds, [0, 2]), np.isin(kinds, [0, 1])
        drop = paired_drop(own, brought, ACCURACY)
        hits += drop.interval[0] <= 0.02 <= drop.interval[1]
    assert 0.93 < hits / 2000 < 0.97
    independent = 1.96 * np.sqrt((own.var() + brought.var()) / 500)
    assert drop.interval[1] - drop.interval[0] < 1.4 * independent


def test_the_limit_on_the_drop_is_found_among_others() -> None:
    limit = drop_limit("1%", ACCURACY)
    assert limit_on_drop([Limit("macs", 1.0), limit]) is limit
    assert limit_on_drop([Limit("macs", 1.0)]) is None
