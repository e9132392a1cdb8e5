"""What `--max-drop` may say, and what a network loses."""

import pytest

from nas.problem.drop import DROP, drop_limit, drop_of, drop_text
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
