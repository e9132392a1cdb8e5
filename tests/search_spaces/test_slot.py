"""Signatures, prunable groups and costs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Cost, Group, Options, Shape, Slot
from search_spaces.operators._base import OPERATORS
from tests.strategies import mini_space, signature, signatures


@given(data=st.data(), operator=st.sampled_from(OPERATORS.names()))
def test_a_slot_is_the_same_after_json(data: st.DataObject, operator: str) -> None:
    slot = Slot("stage1.block1", data.draw(signatures(operator)))
    assert Slot.from_json(slot.to_json()) == slot


def test_fixed_slots_are_the_same_after_json() -> None:
    space = mini_space()
    for slot in space.slots([0] * len(space.choices)):
        assert Slot.from_json(slot.to_json()) == slot


def test_slots_of_square_maps_are_written_as_they_always_were() -> None:
    document = {
        "name": "stage1.block2",
        "operator": "window",
        "shape": {
            "in_size": 16, "size": 16, "in_width": 8, "width": 8, "index": 1, "head_dim": 4
        },
        "pick": {
            "num_heads": 2, "expand_ratio": 2, "head_dim": 4, "window_size": 8, "shift": 4
        },
        "kept": {"hidden": 16, "heads": 2},
        "precision": "fp32",
    }  # fmt: skip
    pick = Options({"num_heads": 2, "expand_ratio": 2})
    square = signature("window", pick, Shape.square(16, 16, 8, 8, 1, 4))
    assert Slot("stage1.block2", square).to_json() == document
    assert Slot.from_json(document).signature == square


def test_a_map_that_is_not_square_is_written_with_both_sides() -> None:
    shape = Shape((7, 9), (4, 5), 8, 16)
    assert (shape.in_pixels, shape.pixels, shape.stride) == (63, 20, (2, 2))
    assert (shape.to_json()["in_size"], shape.to_json()["size"]) == ("7x9", "4x5")
    assert Shape.from_json(shape.to_json()) == shape


@pytest.mark.parametrize("text", ["8x", "x8", "8x6x4", "8.0", "", None])
def test_other_words_are_no_size(text: object) -> None:
    document = {**Shape.square(8, 8, 4, 4).to_json(), "size": text}
    with pytest.raises(ValueError, match=r"invalid literal|too many"):
        Shape.from_json(document)


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
