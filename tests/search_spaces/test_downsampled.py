"""A row of blocks: where maps are halved, and whose weights a network has."""

from math import comb

import pytest

from search_spaces import Downsampled, SearchSpace, UserError
from search_spaces.networks.downsampled import DOWNSAMPLING, WEIGHT_SET

ONE = {"resolution": 32, "channels": 1, "num_classes": 10, "stem_stride": 1}


def space_of(num_sets: int = 1, depth: int = 3, halvings: int = 2) -> SearchSpace:
    network = Downsampled(
        **ONE, widths=(8, 16, 32), depth=depth, halvings=halvings, num_sets=num_sets
    )
    return SearchSpace.of_network("rows", network)


@pytest.mark.parametrize(("depth", "halvings"), [(3, 2), (2, 2), (1, 3)])
@pytest.mark.parametrize("num_sets", [1, 2])
def test_any_so_many_pairs_may_halve_the_map(num_sets: int, depth: int, halvings: int) -> None:
    space = space_of(num_sets, depth, halvings)
    assert space.size == num_sets * comb(3 * depth, halvings)


def test_maps_are_halved_where_it_is_said_and_widths_stay() -> None:
    space = space_of()
    slots = space.slots(space.encode({DOWNSAMPLING: "2-7"}))
    blocks = [slot.signature.shape for slot in slots if ".block" in slot.name]
    assert [shape.size[0] for shape in blocks] == [32, 16, 16, 16, 16, 16, 8, 8, 8]
    assert [shape.width for shape in blocks] == [8, 8, 8, 16, 16, 16, 32, 32, 32]
    assert all(shape.in_size == shape.size for shape in blocks)
    assert slots[-1].signature.shape.in_size == (8, 8)


def test_a_network_has_the_slots_of_one_set_and_costs_what_it_does_with_another() -> None:
    space = space_of(num_sets=2)
    assert space.costs is not None
    for place in space.choice(DOWNSAMPLING).options:
        rows = [space.encode({WEIGHT_SET: own, DOWNSAMPLING: place}) for own in ("w1", "w2")]
        for own, row in zip(("w1", "w2"), rows, strict=True):
            assert {slot.name.partition(".")[0] for slot in space.slots(row)} == {own}
        first, second = ([slot.signature for slot in space.slots(row)] for row in rows)
        assert first == second


@pytest.mark.parametrize("wrong", [{"halvings": 0}, {"halvings": 10}, {"num_sets": 0}])
def test_what_cannot_be_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UserError, match="can halve it 1 to 9 times"):
        space_of(**wrong)
