"""Every format keeps its contract, and weighs what it declares with every operator."""

import functools
from collections.abc import Callable
from itertools import product
from operator import attrgetter

import pytest

from nas.testing._spaces import random_supernet
from nas.testing.formats import CHECKS, require_declared_bytes
from search_spaces import FORMATS, load_space
from search_spaces.operators._base import OPERATORS
from supernets.supernet import Supernet
from tests.strategies import mini_space

pytestmark = pytest.mark.parametrize("precision", FORMATS.names())
UNDECLARED = pytest.mark.xfail(
    reason="files of 100 kB: tables of attention and names in the graph are not declared",
    strict=True,
)
LARGER = {*product(("moat", "window"), FORMATS.names()), ("raft", "int8"), ("inception", "int8")}
"""Operators and formats whose small files are larger than declared."""


@pytest.mark.parametrize("check", CHECKS, ids=attrgetter("__name__"))
def test_any_format(precision: str, check: Callable[[str], None]) -> None:
    check(precision)


@functools.cache
def supernet(name: str) -> Supernet:
    space = (
        mini_space(resolution=32)
        if name == "mini"
        else load_space(name, resolution=32, channels=1, num_classes=100)
    )
    return random_supernet(space.with_policy(tuple(FORMATS.names()), (0, 0.25, 0.5)))


@pytest.mark.parametrize("operator", OPERATORS.names())
@pytest.mark.parametrize("name", ["mini", "hybrid"])
def test_declared_bytes_are_those_of_the_file(
    precision: str, name: str, operator: str, request: pytest.FixtureRequest
) -> None:
    if name == "mini" and (operator, precision) in LARGER:
        request.applymarker(UNDECLARED)
    require_declared_bytes(supernet(name), operator, precision)
