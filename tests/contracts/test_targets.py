"""Every target that is installed keeps its contract."""

from collections.abc import Callable
from operator import attrgetter

import pytest

from nas.targets import TARGETS
from nas.testing.targets import CHECKS
from search_spaces import UserError


@pytest.mark.parametrize("name", TARGETS.names())
@pytest.mark.parametrize("check", CHECKS, ids=attrgetter("__name__"))
def test_any_target(name: str, check: Callable[[str], None]) -> None:
    try:
        TARGETS.get(name)().describe()
    except UserError as error:
        pytest.skip(str(error))
    check(name)
