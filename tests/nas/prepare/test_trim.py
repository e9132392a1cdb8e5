"""What limits leave of a space; that nothing is left is said with what would help."""

from types import SimpleNamespace

import pytest

from nas.prepare.trim import trim
from nas.problem.problem import Limit
from search_spaces import UserError, load_space

TOY = load_space("toy", resolution=16, channels=1, num_classes=10)


def test_a_latency_that_nothing_is_predicted_to_have_is_refused_with_one_that_passes() -> None:
    model = SimpleNamespace(least=lambda fixed: 0.06123)
    with pytest.raises(UserError, match=r"'0.045ms': .* less than 0.0612 ms.*Use '0.0613ms' or mo"):
        trim(TOY, [Limit("latency_ms", 0.045, text="0.045ms")], model)  # type: ignore[arg-type]
    space, dropped = trim(TOY, [Limit("latency_ms", 0.0613)], model)  # type: ignore[arg-type]
    assert (space, dropped) == (TOY, {})


def test_limits_that_leave_no_option_of_a_choice_are_refused_together() -> None:
    assert TOY.costs is not None
    column = TOY.index("stage1.width")
    model = SimpleNamespace(least=lambda fixed: 1.0 if fixed.get(column) == 0 else 0.1)
    macs = TOY.costs.minimum("macs", {column: 1})[0] - 1
    limits = [Limit("macs", macs, text="small"), Limit("latency_ms", 0.5, text="0.5ms")]
    with pytest.raises(UserError, match=r"within all limits together: small, 0.5ms. Raise one"):
        trim(TOY, limits, model)  # type: ignore[arg-type]
