"""Every target that is installed keeps its contract."""

from collections.abc import Callable, Iterator
from operator import attrgetter

import pytest

from nas.targets import TARGETS
from nas.testing.targets import CHECKS
from search_spaces import UserError


def marks(name: str) -> list[pytest.MarkDecorator]:
    """What is compiled before it runs takes a minute."""
    return [pytest.mark.long] if getattr(TARGETS.get(name), "compiled_in", "") else []


@pytest.fixture(autouse=True, scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What one check has compiled, the others find."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in (getattr(TARGETS.get(n), "compiled_in", "") for n in TARGETS.names()):
            if variable:
                patch.setenv(variable, str(tmp_path_factory.mktemp("compiled")))
        yield


@pytest.mark.parametrize("name", [pytest.param(n, marks=marks(n)) for n in TARGETS.names()])
@pytest.mark.parametrize("check", CHECKS, ids=attrgetter("__name__"))
def test_any_target(name: str, check: Callable[[str], None]) -> None:
    try:
        TARGETS.get(name)().describe()
    except UserError as error:
        pytest.skip(str(error))
    check(name)
