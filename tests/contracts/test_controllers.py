"""Every controller keeps its contract: run over the registry, so that a new file is tested at once."""

from collections.abc import Callable
from operator import attrgetter

import numpy as np
import pytest

from nas.controllers import CONTROLLERS, installed_controllers
from nas.problem.problem import NothingKnown
from nas.testing.controllers import CHECKS


@pytest.mark.parametrize("name", CONTROLLERS.names())
@pytest.mark.parametrize("check", CHECKS, ids=attrgetter("__name__"))
def test_any_controller(name: str, check: Callable[[str], None]) -> None:
    if name not in installed_controllers():
        pytest.skip(f"controller '{name}' is not installed")
    check(name)


def test_the_model_that_knows_nothing_is_never_asked() -> None:
    with pytest.raises(KeyError):
        NothingKnown().of("macs", np.zeros((1, 1), dtype=int))
