"""Sparsity patterns in spaces: choices, keys, signatures, and what is modelled of them."""

import json

import numpy as np
import pytest

from search_spaces import (
    BLOCK_SIDE,
    DENSE,
    MODELLED_MACS,
    PATTERNS,
    SearchSpace,
    Slot,
    UserError,
    check_patterns,
    format_of,
    load_space,
    modelled_cost,
    modelled_costs,
    pattern_of,
    slot_cost,
)
from search_spaces import _layers as layers

FORMATS = ("fp32", "int8", "int4w")
TWO = "two-of-four"
HALF, QUARTER = "blocks-32-50", "blocks-32-25"


def space(patterns: tuple[str, ...] = (DENSE, TWO)) -> SearchSpace:
    found = load_space("toy", resolution=16, channels=1, num_classes=10)
    return found.with_policy(FORMATS, (0.0, 0.5), patterns=patterns)


def with_all(found: SearchSpace, option: str) -> tuple[int, ...]:
    largest = np.array([found.costs.maximum("macs")[1]])
    return found.canonical(found.in_pattern(largest, option)[0])


def test_dense_alone_is_no_choice() -> None:
    own = load_space("toy", resolution=16, channels=1, num_classes=10)
    assert space((DENSE,)) == own.with_policy(FORMATS, (0.0, 0.5))
    assert space().size > space((DENSE,)).size


def test_the_key_of_a_dense_network_does_not_depend_on_what_is_offered() -> None:
    offered, alone = space(), space((DENSE,))
    dense = with_all(offered, DENSE)
    same = alone.encode({**offered.candidate(dense).arch, **offered.candidate(dense).policy})
    assert offered.candidate(dense).key == alone.candidate(same).key
    assert offered.candidate(with_all(offered, TWO)).key != alone.candidate(same).key


def test_slots_carry_the_pattern_through_json_and_dense_ones_do_not_say_so() -> None:
    found = space()
    for option in (DENSE, TWO):
        for slot in found.slots(with_all(found, option)):
            document = json.loads(json.dumps(slot.to_json()))
            assert Slot.from_json(document) == slot
            assert ("pattern" in document) == (slot.signature.pattern != DENSE)


def test_slots_whose_inputs_are_no_whole_groups_stay_dense() -> None:
    found = space()
    slots = found.slots(with_all(found, TWO))
    assert slots[0].signature.shape.in_width == 1
    assert slots[0].signature.pattern == DENSE
    assert {slot.signature.pattern for slot in slots[1:]} == {TWO}


def test_files_and_dense_kernels_cost_what_they_do_without_a_pattern() -> None:
    found = space()
    rows = np.array([with_all(found, DENSE), with_all(found, TWO)])
    for metric in ("macs", "params", "size_bytes"):
        dense, two = found.costs.of(metric, rows)
        assert dense == two
    dense, two = found.costs.of(MODELLED_MACS, rows)
    assert dense == found.costs.of("macs", rows[:1])[0]
    assert dense / 2 < two < dense
    assert MODELLED_MACS not in space((DENSE,)).costs.metrics


@pytest.mark.parametrize("precision", FORMATS)
def test_modelled_costs_are_those_of_what_remains(precision: str) -> None:
    found = space()
    row = found.in_precision(np.array([with_all(found, TWO)]), precision)[0]
    slots = found.slots(row)
    assert modelled_costs(slots).macs == sum(modelled_cost(slot).macs for slot in slots)
    for slot in slots[1:]:
        cost, format_ = slot_cost(slot), format_of(precision)
        bits = format_.bits[0] * cost.matrix_grouped
        bits += format_.bits[2] * (cost.grouped - cost.matrix_grouped)
        positions = 2 * cost.grouped // 2
        assert modelled_cost(slot).spared_bytes == (bits / 2 - positions) / 8
        assert modelled_cost(slot).macs == cost.macs - cost.grouped_macs // 2
    assert modelled_costs(found.slots(with_all(found, DENSE))) is None


def test_patterns_are_refused_by_name_and_without_dense() -> None:
    with pytest.raises(UserError, match="unknown pattern 'two-of-for'.*two-of-four"):
        check_patterns((DENSE, "two-of-for"))
    with pytest.raises(UserError, match="--pattern dense,two-of-four"):
        check_patterns((TWO,))
    assert pattern_of(TWO).kernel
    assert [name for name in PATTERNS.names() if pattern_of(name).is_dense] == [DENSE]


@pytest.mark.parametrize(
    ("in_width", "width", "is_blocked"),
    [(64, 64, True), (32, 128, True), (96, 192, False), (32, 64, False), (48, 128, False)],
)
def test_blocks_are_of_linear_layers_that_are_whole_ones_in_fours(
    in_width: int, width: int, is_blocked: bool
) -> None:
    found = layers.linear(9, in_width, width)
    weights = in_width * width if is_blocked else 0
    assert (found.blocked, found.blocked_macs) == (weights, 9 * weights)
    assert layers.conv(9, in_width, width, 1).blocked == 0


def test_blocks_spare_macs_and_bytes_of_what_has_gone_less_a_place_for_each_that_remains() -> None:
    cost = layers.linear(9, 64, 128)
    blocks = 64 * 128 // BLOCK_SIDE**2
    for name, share in ((HALF, 2), (QUARTER, 4)):
        pattern = pattern_of(name)
        taken = pattern.taken(cost)
        assert taken == (64 * 128, 64 * 128, 9 * 64 * 128)
        assert pattern.kept_of(taken.macs) == taken.macs // share
        assert pattern.stored_bits(taken.weights, 8) == (8 * 64 * 128 + 16 * blocks) // share
