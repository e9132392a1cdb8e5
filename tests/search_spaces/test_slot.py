"""Signatures, prunable groups and costs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Cost, Group, Slot
from search_spaces.operators._base import OPERATORS
from tests.strategies import mini_space, signatures


@given(data=st.data(), operator=st.sampled_from(OPERATORS.names()))
def test_a_slot_is_the_same_after_json(data: st.DataObject, operator: str) -> None:
    slot = Slot("stage1.block1", data.draw(signatures(operator)))
    assert Slot.from_json(slot.to_json()) == slot


def test_fixed_slots_are_the_same_after_json() -> None:
    space = mini_space()
    for slot in space.slots([0] * len(space.choices)):
        assert Slot.from_json(slot.to_json()) == slot


@given(st.integers(1, 400), st.sampled_from([1, 4, 8]))
def test_no_sparsity_removes_nothing(size: int, multiple: int) -> None:
    assert Group(size, multiple).kept(0.0) == size


@pytest.mark.parametrize(
    ("size", "multiple", "sparsity", "kept"),
    [(64, 8, 0.25, 48), (64, 8, 0.5, 32), (16, 8, 0.25, 16), (24, 8, 0.9, 8), (1, 1, 0.5, 1),
     (3, 1, 0.5, 2), (4, 1, 0.25, 3), (18, 8, 0.0, 18), (4, 8, 0.5, 4)],
)  # fmt: skip
def test_what_remains_is_the_nearest_multiple_and_at_least_one(
    size: int, multiple: int, sparsity: float, kept: int
) -> None:
    assert Group(size, multiple).kept(sparsity) == kept


def test_costs_add_up_field_by_field() -> None:
    total = Cost(dense=1, depthwise=2, attention=3, params=4) + Cost(dense=10, calls=5)
    assert total == Cost(dense=11, depthwise=2, attention=3, params=4, calls=5)
    assert total.macs == 16
