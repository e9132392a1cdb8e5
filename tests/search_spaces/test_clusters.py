"""Stages that may gather positions: slots, sizes, and what a space file may get wrong."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from search_spaces import (
    SearchSpace,
    Sides,
    Stage,
    Staged,
    UserError,
    resized,
    signature_cost,
    slot_cost,
)
from search_spaces._clusters import cell_of

STAGE = Stage(
    widths=(8, 16),
    depths=(1, 3),
    operators=("convnext",),
    options=(("kernel_size", (3,)), ("expand_ratio", (2,))),
    tokens_per_cluster=(1, 2, 4),
)
PLAIN = replace(STAGE, tokens_per_cluster=(1,))


def space_of(first: Stage, second: Stage = PLAIN, **fields: Any) -> SearchSpace:
    network = Staged(resolution=16, channels=1, num_classes=10, stages=(first, second), **fields)
    return SearchSpace.of_network("own", network)


@pytest.mark.parametrize(
    ("tokens", "size", "cell"),
    [
        (1, (8, 8), (1, 1)),
        (2, (8, 8), (1, 2)),
        (2, (8, 1), (2, 1)),
        (4, (8, 8), (2, 2)),
        (4, (14, 1), (4, 1)),
        (8, (8, 8), (2, 4)),
        (9, (2, 8), (2, 8)),  # a 3x3 cell does not fit, and neither does 1x9
        (100, (3, 4), (3, 4)),
    ],
)
def test_cells_are_as_square_as_fits(tokens: int, size: Sides, cell: Sides) -> None:
    assert cell_of(tokens, size) == cell
    assert cell_of(cell[0] * cell[1], size) == cell


def test_blocks_behind_the_first_run_on_clusters_and_the_map_is_rebuilt() -> None:
    space = space_of(STAGE)
    slots = space.slots(space.encode({"stage1.depth": 3, "stage1.tokens_per_cluster": 4}))
    sizes = {slot.name: slot.signature.shape.size for slot in slots}
    assert list(sizes) == [
        *("stem", "stage1.block1", "stage1.cluster", "stage1.block2", "stage1.block3"),
        *("stage1.rebuild", "stage2.downsample", "stage2.block1", "head"),
    ]
    assert [sizes[f"stage1.{name}"] for name in ("block1", "cluster", "block2", "rebuild")] == [
        *((8, 8), (4, 4), (4, 4), (8, 8)),
    ]
    rebuild = next(slot for slot in slots if slot.name == "stage1.rebuild")
    assert rebuild.inputs == ("stage1.block1", "stage1.cluster", "stage1.block3")
    assert rebuild.join == "tokens"
    assert rebuild.signature.shape.in_size == (64 + 2 * 16, 1)
    copied = slot_cost(rebuild).elements - signature_cost(rebuild.signature).elements
    assert copied == 96 * rebuild.signature.shape.in_width


def test_without_clusters_or_blocks_between_nothing_is_gathered() -> None:
    space = space_of(STAGE)
    for options in ({"stage1.depth": 3}, {"stage1.tokens_per_cluster": 4}):
        names = [slot.name for slot in space.slots(space.encode(options))]
        assert not {"stage1.cluster", "stage1.rebuild"} & set(names)
    shallow = [space.encode({"stage1.tokens_per_cluster": tokens}) for tokens in (1, 2, 4)]
    assert len(set(shallow)) == 1


def test_clusters_may_be_made_before_the_first_block() -> None:
    space = space_of(STAGE, replace(STAGE, cluster_after=0))
    slots = space.slots(space.encode({"stage2.tokens_per_cluster": 2}))
    rebuild = next(slot for slot in slots if slot.name == "stage2.rebuild")
    assert rebuild.inputs == ("stage2.downsample", "stage2.cluster", "stage2.block1")
    assert rebuild.signature.shape.size == (4, 4)


def test_more_tokens_than_a_map_has_are_the_same_as_all() -> None:
    space = space_of(STAGE, replace(STAGE, tokens_per_cluster=(1, 16, 32), depths=(2,)))
    encodings = [space.encode({"stage2.tokens_per_cluster": tokens}) for tokens in (1, 16, 32)]
    assert len(set(encodings)) == 2


def test_a_stage_that_offers_none_is_as_before() -> None:
    names = [choice.name for choice in space_of(PLAIN).choices]
    assert not [name for name in names if "cluster" in name]
    assert space_of(PLAIN).network is not None
    assert "cluster" not in json.dumps(space_of(PLAIN).to_json())
    again = SearchSpace.from_json(json.loads(json.dumps(space_of(STAGE).to_json())))
    assert again == space_of(STAGE)


def test_costs_are_sums_over_slots_and_fall_with_clusters() -> None:
    space = space_of(STAGE)
    assert space.costs is not None
    rows = np.array(
        [
            space.encode({"stage1.depth": 3, "stage1.tokens_per_cluster": tokens})
            for tokens in (1, 2, 4)
        ]
    )
    macs = space.costs.of("macs", rows)
    assert list(macs) == [sum(slot_cost(slot).macs for slot in space.slots(row)) for row in rows]
    assert list(macs) == sorted(macs, reverse=True)
    params = space.costs.of("params", rows)
    assert len(set(params)) == 1


def test_members_are_those_of_a_space_for_images_of_the_size() -> None:
    options = {"stage1.depth": 3, "stage1.tokens_per_cluster": 4, "stage2.depth": 3}
    large = space_of(STAGE)
    assert isinstance(large.network, Staged)
    small = SearchSpace.of_network("own", replace(large.network, resolution="18x21"))
    slots = large.slots(large.encode(options))
    assert resized(slots, (18, 21)) == small.slots(small.encode(options))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tokens_per_cluster": (1, 0)}, "stage1.tokens_per_cluster offers 0. Allowed: whole"),
        ({"tokens_per_cluster": ()}, r"stage1.tokens_per_cluster offers \(\)"),
        ({"cluster_after": -1}, "stage1.cluster_after offers -1"),
        ({"cluster_after": 3}, "stage1 makes clusters after block 3, and has at most 3 blocks"),
    ],
)
def test_clusters_that_cannot_be_made_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        space_of(replace(STAGE, **wrong))
