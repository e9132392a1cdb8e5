"""What every space file keeps to, at every resolution it may be asked for."""

import functools
import itertools
import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import (
    SPACES,
    Resolution,
    SearchSpace,
    Slot,
    load_space,
    read_sides,
    signature_cost,
)
from tests.strategies import covering, encodings

pytestmark = pytest.mark.parametrize("name", SPACES.names())
RESOLUTIONS = (16, 28, 32, 96, 224, "24x40")
METRICS = ("macs", "params", "size_bytes")


@functools.cache
def space_of(name: str, resolution: Resolution = 32) -> SearchSpace:
    space = load_space(name, resolution=resolution, channels=3, num_classes=10)
    return space.with_policy(("fp32", "int8"), (0, 0.25, 0.5))


@given(data=st.data())
def test_canonical_form_is_idempotent_and_builds_the_same_network(
    name: str, data: st.DataObject
) -> None:
    space = space_of(name)
    encoding = data.draw(encodings(space))
    canonical = space.canonical(encoding)
    assert space.canonical(canonical) == canonical
    assert space.slots(canonical) == space.slots(encoding)


@given(data=st.data())
def test_encoding_what_was_decoded_gives_it_back(name: str, data: st.DataObject) -> None:
    space = space_of(name)
    candidate = space.candidate(data.draw(encodings(space)))
    assert space.encode({**candidate.arch, **candidate.policy}) == candidate.encoding


@given(data=st.data())
def test_keys_are_equal_exactly_where_networks_are(name: str, data: st.DataObject) -> None:
    space = space_of(name)
    first = data.draw(encodings(space))
    column = data.draw(st.integers(0, len(first) - 1))
    option = data.draw(st.integers(0, space.cardinalities[column] - 1))
    second = (*first[:column], option, *first[column + 1 :])
    keys = space.candidate(first).key, space.candidate(second).key
    assert (keys[0] == keys[1]) == (space.slots(first) == space.slots(second))


def require_fit(slots: Sequence[Slot]) -> None:
    """Maps that are joined have one size, and as many channels as their reader takes."""
    sizes = {slot.name: slot.signature.shape.size for slot in slots}
    widths = {slot.name: slot.signature.shape.width for slot in slots}
    image = slots[0].signature.shape
    sizes[""], widths[""] = image.in_size, image.in_width
    for before, slot in itertools.pairwise(slots):
        shape, feeding = slot.signature.shape, slot.inputs or (before.name,)
        assert {sizes[name] for name in feeding} == {shape.in_size}, slot.name
        found = [widths[name] for name in feeding]
        joined = sum(found) if slot.join == "concatenation" else max(found)
        assert shape.in_width == joined, slot.name
        assert slot.join == "concatenation" or len(set(found)) == 1, slot.name


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_every_resolution_has_networks_whose_slots_fit_onto_each_other(
    name: str, resolution: Resolution
) -> None:
    space = space_of(name, resolution)
    assert space.network is not None
    for row in space.sample(np.random.default_rng(0), 5).tolist():
        slots = space.slots(row)
        ends = (slots[place].name.rpartition(".")[2] for place in (0, -1))  # behind a set's name
        assert tuple(ends) == ("stem", "head")
        assert slots[0].signature.shape.in_size == read_sides(resolution)
        assert slots[-1].signature.shape.width == 10
        require_fit(slots)


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_every_sample_is_within_the_exact_extremes(name: str, resolution: Resolution) -> None:
    space = space_of(name, resolution)
    assert space.costs is not None
    rows = space.sample(np.random.default_rng(0), 300)
    for metric in METRICS:
        values = space.costs.of(metric, rows)
        low, high = space.costs.minimum(metric)[0], space.costs.maximum(metric)[0]
        assert 0 < low <= values.min() <= values.max() <= high


def test_costs_are_sums_of_the_slots_costs(name: str) -> None:
    space = space_of(name)
    assert space.costs is not None
    rows = space.sample(np.random.default_rng(0), 20)
    expected = [
        sum(signature_cost(slot.signature).macs for slot in space.slots(row))
        for row in rows.tolist()
    ]
    assert space.costs.of("macs", rows).tolist() == expected


def test_stored_as_json_it_builds_the_same_networks(name: str) -> None:
    space = space_of(name)
    again = SearchSpace.from_json(json.loads(json.dumps(space.to_json())))
    assert again == space
    for candidate in covering(space):
        slots = space.slots(candidate.encoding)
        assert tuple(Slot.from_json(json.loads(json.dumps(s.to_json()))) for s in slots) == slots


def test_choices_come_with_architecture_first_and_conditions_point_back(name: str) -> None:
    space = space_of(name)
    is_policy = [c.name.endswith(("precision", "sparsity")) for c in space.choices]
    assert is_policy == sorted(is_policy)
    seen: set[str] = set()
    for choice in space.choices:
        assert choice.name not in seen
        assert all(other in seen for other, _ in choice.active_if)
        seen.add(choice.name)
