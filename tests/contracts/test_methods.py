"""Every training method keeps its contract: those that are shipped, and small ones that use all of
it.
"""

from collections.abc import Callable
from operator import attrgetter

import pytest

from nas.testing.methods import OF_BATCHES, OF_FIELDS, example, small_space
from supernets.methods._base import METHODS, AbstractMethod
from tests.small_methods import Attentive, Balanced, Halves, Projected

SMALL = {cls.__name__: cls for cls in (Attentive, Balanced, Halves, Projected)}
by_name = attrgetter("__name__")


@pytest.mark.parametrize("check", OF_FIELDS, ids=by_name)
@pytest.mark.parametrize("name", METHODS.names())
def test_any_method_of_a_file(name: str, check: Callable[[AbstractMethod], None]) -> None:
    check(example(name))


@pytest.mark.parametrize("check", OF_BATCHES, ids=by_name)
@pytest.mark.parametrize("name", [*METHODS.names(), *SMALL])
def test_any_method(name: str, check: Callable[[AbstractMethod], None]) -> None:
    check(SMALL[name](small_space()) if name in SMALL else example(name))
