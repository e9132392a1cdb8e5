"""Every stem, downsampling and head keeps its contract."""

from collections.abc import Callable
from operator import attrgetter

import pytest

from nas.testing.trunk import CHECKS
from search_spaces.trunk._base import TRUNK


@pytest.mark.parametrize("check", CHECKS, ids=attrgetter("__name__"))
@pytest.mark.parametrize("name", TRUNK.names())
def test_anything_of_the_trunk(name: str, check: Callable[[str], None]) -> None:
    check(name)
