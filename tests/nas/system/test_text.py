"""What a user writes as text."""

import pytest

from nas.system.text import parse_time
from search_spaces import UserError


def test_durations_have_a_unit() -> None:
    assert [parse_time(text) for text in ("90s", "20m", "1.5h")] == [90.0, 1200.0, 5400.0]
    for text in ("", "s", "5", "-3s", "nans", "infs", "1d", "1e9s", "0s"):
        with pytest.raises(UserError, match="is not a duration"):
            parse_time(text)
    with pytest.raises(UserError, match="a number above 0 and below"):
        parse_time("0s")
