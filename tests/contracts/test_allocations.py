"""Every allocation, ours and later ones, keeps its contract."""

from collections.abc import Callable
from operator import attrgetter

import pytest

from nas.allocations import ALLOCATIONS
from nas.testing.allocations import CHECKS


@pytest.mark.parametrize("check", CHECKS, ids=attrgetter("__name__"))
@pytest.mark.parametrize("name", ALLOCATIONS.names())
def test_any_allocation(name: str, check: Callable[[str], None]) -> None:
    check(name)
