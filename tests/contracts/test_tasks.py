"""Every task keeps its contract."""

from collections.abc import Callable
from operator import attrgetter

import pytest

from nas.testing.tasks import CHECKS
from search_spaces import TASKS


@pytest.mark.parametrize("name", TASKS.names())
@pytest.mark.parametrize("check", CHECKS, ids=attrgetter("__name__"))
def test_any_task(name: str, check: Callable[[str], None]) -> None:
    check(name)
