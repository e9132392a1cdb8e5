"""Every operator keeps its contract, with any options at any place."""

from collections.abc import Callable
from operator import attrgetter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.testing import operators
from search_spaces import Signature
from search_spaces.operators._base import OPERATORS
from tests.strategies import families, signatures

pytestmark = pytest.mark.parametrize("operator", OPERATORS.names())
few = settings(max_examples=12)
by_name = attrgetter("__name__")

SLOW = (
    operators.check_every_weight_a_pick_uses_gets_a_gradient_and_no_other_does,
    operators.check_the_largest_pick_uses_all_weights,
)
OF_OPERATOR = (
    operators.check_it_is_declared_and_implemented,
    operators.check_an_odd_width_runs_or_is_refused,
)


@pytest.mark.parametrize("check", operators.OF_SIGNATURE, ids=by_name)
@given(data=st.data())
def test_any_signature(
    operator: str, check: Callable[[Signature], None], data: st.DataObject
) -> None:
    check(data.draw(signatures(operator)))


@pytest.mark.parametrize("check", [c for c in operators.OF_FAMILY if c not in SLOW], ids=by_name)
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
