"""Every optimizer keeps its contract."""

from collections.abc import Callable
from operator import attrgetter

import pytest

from nas.testing.optimizers import CHECKS
from supernets.optimizers._base import OPTIMIZERS


@pytest.mark.parametrize("name", OPTIMIZERS.names())
@pytest.mark.parametrize("check", CHECKS, ids=attrgetter("__name__"))
def test_any_optimizer(name: str, check: Callable[[str], None]) -> None:
    check(name)
