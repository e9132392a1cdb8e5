"""Every calibration keeps its contract."""

from collections.abc import Callable
from operator import attrgetter

import pytest

from compress.calibration._base import CALIBRATIONS
from nas.testing.calibration import CHECKS


@pytest.mark.parametrize("check", CHECKS, ids=attrgetter("__name__"))
@pytest.mark.parametrize("name", CALIBRATIONS.names())
def test_any_calibration(name: str, check: Callable[[str], None]) -> None:
    check(name)
