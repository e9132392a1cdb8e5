"""Every channel part keeps its contract behind one mixer; test_operators.py has every mixer before the usual one."""

from collections.abc import Callable
from operator import attrgetter

import pytest

from nas.testing.channel_parts import CHECKS
from search_spaces.channel_parts._base import CHANNEL_PARTS


@pytest.mark.parametrize("check", CHECKS, ids=attrgetter("__name__"))
@pytest.mark.parametrize("name", CHANNEL_PARTS.names())
def test_any_channel_part(name: str, check: Callable[[str], None]) -> None:
    check(name)
