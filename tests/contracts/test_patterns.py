"""Every sparsity pattern keeps its contract."""

from collections.abc import Callable
from operator import attrgetter

import pytest

from nas.testing.patterns import CHECKS
from search_spaces import PATTERNS


@pytest.mark.parametrize("pattern", PATTERNS.names())
@pytest.mark.parametrize("check", CHECKS, ids=attrgetter("__name__"))
def test_any_pattern(pattern: str, check: Callable[[str], None]) -> None:
    check(pattern)
