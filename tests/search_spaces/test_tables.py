"""Sums over slots by table, and exact extremes, against going through everything."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import SearchSpace, declaration, format_of, load_space, slot_cost
from tests.strategies import encodings, everything, mini_space, spaces

METRICS = ("macs", "params", "size_bytes", "bit_ops")


@given(st.data())
def test_costs_are_sums_of_the_slots_costs(data: st.DataObject) -> None:
    space = data.draw(spaces())
    rows = [data.draw(encodings(space)) for _ in range(3)]
    assert space.costs is not None
    for row in rows:
        slots = space.slots(row)
        signatures = [slot.signature for slot in slots]
        costs = [slot_cost(slot) for slot in slots]
        expected = {
            "macs": sum(cost.macs for cost in costs),
            "params": sum(cost.params for cost in costs),
            "size_bytes": sum(
                format_of(signature.precision).size_bytes(cost)
                for cost, signature in zip(costs, signatures, strict=True)
            ),
            "bit_ops": sum(
                format_of(signature.precision).bit_ops(cost)
                for cost, signature in zip(costs, signatures, strict=True)
            ),
        }
        for metric in METRICS:
            assert space.costs.of(metric, np.array([row]))[0] == expected[metric]


@given(spaces())
def test_costs_do_not_depend_on_canonical_form(space: SearchSpace) -> None:
    assert space.costs is not None
    rows = space.sample(np.random.default_rng(0), 50)
    for metric in METRICS:
        found = space.costs.of(metric, rows)
        assert np.array_equal(found, space.costs.of(metric, space.canonical_many(rows)))


@settings(max_examples=12)
@given(spaces(), st.sampled_from(METRICS))
def test_extremes_are_those_of_the_enumeration(space: SearchSpace, metric: str) -> None:
    assert space.costs is not None
    values = space.costs.of(metric, everything(space))
    for extreme, expected in (
        (space.costs.minimum, values.min()),
        (space.costs.maximum, values.max()),
    ):
        value, encoding = extreme(metric)
        assert value == expected
        assert space.costs.of(metric, np.array([encoding]))[0] == value
        space.candidate(encoding)


@settings(max_examples=12)
@given(st.data())
def test_extremes_with_an_option_given_are_those_of_the_rows_with_it(data: st.DataObject) -> None:
    space = data.draw(spaces(max_encodings=4000))
    column = data.draw(st.integers(0, len(space.choices) - 1))
    option = data.draw(st.integers(0, space.cardinalities[column] - 1))
    assert space.costs is not None
    rows = everything(space)
    values = space.costs.of("macs", rows[rows[:, column] == option])
    lowest, encoding = space.costs.minimum("macs", {column: option})
    assert lowest == values.min()
    assert encoding[column] == option
    assert space.costs.maximum("macs", {column: option})[0] == values.max()


@pytest.mark.parametrize("resolution", [32, 224])
def test_no_sample_of_a_large_space_lies_outside_its_extremes(resolution: int) -> None:
    space = load_space("hybrid", resolution=resolution, channels=3, num_classes=10)
    assert space.costs is not None
    rows = space.sample(np.random.default_rng(0), 5000)
    for metric in METRICS:
        values = space.costs.of(metric, rows)
        assert space.costs.minimum(metric)[0] <= values.min()
        assert values.max() <= space.costs.maximum(metric)[0]


def test_extremes_of_parameters_and_of_multiply_adds_differ() -> None:
    space = mini_space(resolution=32)
    assert space.costs is not None
    assert space.costs.maximum("macs")[1] != space.costs.maximum("params")[1]


def test_costs_are_restricted_with_the_space() -> None:
    space = mini_space().with_policy(("fp32", "int8"), (0, 0.5))
    part = space.restricted({c.name: ("int8",) for c in space.choices if "precision" in c.name})
    assert space.costs is not None
    assert part.costs is not None
    assert part.costs.maximum("size_bytes")[0] < space.costs.maximum("size_bytes")[0]
    assert part.costs.maximum("params")[0] == space.costs.maximum("params")[0]


def test_a_table_is_as_large_as_what_operators_read_added_up() -> None:
    """And not as their product, which a dozen dimensions would make too large for memory."""
    space = load_space("hybrid", resolution=32, channels=3, num_classes=10)
    assert space.tables is not None
    for slot in space.tables.slots:
        shared = [space.choices[column] for column in slot.shared]
        expected = 1
        if slot.own:
            dims = {c.name.rpartition(".")[2]: c for c in (space.choices[i] for i in slot.own)}
            expected = sum(
                math.prod(len(dims[d].options) for d in declaration(str(name)).dims if d in dims)
                for name in dims["operator"].options
            )
        assert len(slot.ids) == expected * math.prod(len(choice.options) for choice in shared)
