"""Every operator keeps its contract, with any options at any place."""

import itertools
from collections.abc import Callable
from operator import attrgetter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.testing import operators
from search_spaces import Options, Shape, Signature, declaration
from search_spaces.operators._base import OPERATORS
from tests.strategies import families, options_of, signature, signatures

pytestmark = pytest.mark.parametrize("operator", OPERATORS.names())
few = settings(max_examples=6)
"""A check is wrong for a kind of operators or of places rather than for one: all draw some."""
by_name = attrgetter("__name__")

SLOW = (
    operators.check_every_weight_a_pick_uses_gets_a_gradient_and_no_other_does,
    operators.check_the_largest_pick_uses_all_weights,
)
OF_OPERATOR = (
    operators.check_it_is_declared_and_implemented,
    operators.check_an_odd_width_runs_or_is_refused,
    operators.check_files_of_maps_that_are_not_square_compute_what_torch_does,
)
STRIDES = {"basic": (1, 2, 4), "conv": (1, 2, 4), "mbconv": (1, 2, 4)}
"""Of operators that may change the map's size."""


@pytest.mark.parametrize("check", operators.OF_SIGNATURE, ids=by_name)
@few
@given(data=st.data())
def test_any_signature(
    operator: str, check: Callable[[Signature], None], data: st.DataObject
) -> None:
    check(data.draw(signatures(operator)))


@pytest.mark.parametrize("check", [c for c in operators.OF_FAMILY if c not in SLOW], ids=by_name)
@few
@given(data=st.data())
def test_any_member_of_any_family(
    operator: str, check: Callable[[Signature, Signature], None], data: st.DataObject
) -> None:
    check(*data.draw(families(operator)))


@pytest.mark.parametrize("check", SLOW, ids=by_name)
@few
@given(data=st.data())
def test_gradients_of_any_member_of_any_family(
    operator: str, check: Callable[[Signature, Signature], None], data: st.DataObject
) -> None:
    check(*data.draw(families(operator)))


@pytest.mark.parametrize("check", OF_OPERATOR, ids=by_name)
def test_any_operator(operator: str, check: Callable[[str], None]) -> None:
    check(operator)


def test_the_map_that_is_built_is_the_declared_one_at_any_side(operator: str) -> None:
    pick = Options({dim: options_of(operator, dim)[0] for dim in declaration(operator).dims})
    for side, stride in itertools.product(range(5, 12), STRIDES.get(operator, (1,))):
        in_size = (side, 22 - side) if side % 2 else (22 - side, side)
        size = (-(-in_size[0] // stride), -(-in_size[1] // stride))
        built = signature(operator, pick, Shape(in_size, size, 4, 4, 0, 4))
        operators.check_the_output_has_the_declared_shape(built)
        operators.check_declared_multiply_adds_are_those_that_torch_counts(built)
