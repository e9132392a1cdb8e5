"""Early exits: where they look, what they cost, and how they learn."""

import pytest
import torch
from torch import nn

from search_spaces import SearchSpace, Slot, UserError
from supernets.exit_batches import ExitBatches
from supernets.exits import (
    Exiting,
    Exits,
    Latents,
    Map,
    Tapped,
    macs_of_slot,
    maps_between_stages,
)
from supernets.images import Images
from supernets.network import PlainNetwork
from supernets.plan import TrainPlan
from tests.strategies import mini_space, noise, randomise_, slots_of

SIDE, CLASSES = 32, 10
PLAN = TrainPlan(steps=4, batch_size=8, shards=1)
SMALL = Latents(number=2, width=8)


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return mini_space(resolution=SIDE)


@pytest.fixture(scope="module")
def slots(space: SearchSpace) -> tuple[Slot, ...]:
    return slots_of(space, operator="basic")


@pytest.fixture
def network(slots: tuple[Slot, ...]) -> PlainNetwork:
    found = PlainNetwork(slots).eval()
    randomise_(found, seed=1)
    return found


def exits_on(maps: tuple[Map, ...]) -> Exits:
    exits = Exits(maps, CLASSES, SMALL, seed=0).eval()
    randomise_(exits, seed=2)
    return exits


def test_exits_look_at_the_last_map_of_every_stage_but_the_last(
    network: PlainNetwork, slots: tuple[Slot, ...]
) -> None:
    maps = maps_between_stages(network, (1, SIDE, SIDE))
    stages = sorted({s.name.partition(".")[0] for s in slots if s.name.startswith("stage")})
    assert [of_map.slot for of_map in maps] == [f"{stage}.block2" for stage in stages[:-1]]
    assert [of_map.size[0] for of_map in maps] == sorted({m.size[0] for m in maps}, reverse=True)
    by_name = {slot.name: slot.signature.shape for slot in slots}
    assert [(m.width, m.size) for m in maps] == [
        (by_name[m.slot].width, by_name[m.slot].size) for m in maps
    ]


def test_a_network_with_maps_of_one_size_has_none(slots: tuple[Slot, ...]) -> None:
    network = PlainNetwork(slots[:2]).eval()
    assert [slot.signature.shape.size for slot in slots[:2]] == 2 * [slots[0].signature.shape.size]
    assert maps_between_stages(network, (1, SIDE, SIDE)) == ()


@pytest.mark.parametrize(
    ("side", "kernel", "positions"), [(32, 8, 4), (7, 1, 7), (14, 2, 7), (4, 1, 4), (2, 1, 2)]
)
def test_maps_are_pooled_to_about_four_positions_a_side(
    side: int, kernel: int, positions: int
) -> None:
    of_map = Map("stage1.block1", 8, (side, 2 * side))
    assert of_map.pooling[0] == kernel
    assert of_map.positions == positions * (2 * side // of_map.pooling[1])


def test_what_a_slot_costs_includes_all_before_it(slots: tuple[Slot, ...]) -> None:
    costs = [macs_of_slot(slots, slot.name) for slot in slots]
    assert costs == sorted(costs)
    fed = [Slot("a", slots[1].signature, ("",)), Slot("b", slots[1].signature, ("",))]
    assert macs_of_slot(fed, "b") == macs_of_slot(fed[:1], "a")


def test_exits_of_a_frozen_network_learn_and_it_stays_bit_by_bit(
    digit_images: Images,
) -> None:
    space = mini_space(resolution=16)
    own = PlainNetwork(slots_of(space, operator="basic")).eval()
    randomise_(own, seed=1)
    before = {name: tensor.clone() for name, tensor in own.state_dict().items()}
    maps = maps_between_stages(own, (1, 16, 16))
    exits = Exits(maps, CLASSES, SMALL, seed=0).train()
    batches = ExitBatches(PLAN, Tapped(own, maps))
    optimizer = torch.optim.Adam(exits.parameters(), 0.01)
    losses = []
    for turn in range(20):
        optimizer.zero_grad()
        found, _ = batches(exits, digit_images, turn % 2, {})
        losses.append(found[0][1])
        optimizer.step()
    assert losses[-2] < losses[0], "of the same images"
    assert all(torch.equal(own.state_dict()[name], tensor) for name, tensor in before.items())
    assert [name for name, _ in found] == ["exits"]
    assert all(parameter.grad is None for parameter in own.parameters())


def test_trained_together_the_network_learns_from_labels_and_through_its_maps(
    digit_images: Images,
) -> None:
    own = PlainNetwork(slots_of(mini_space(resolution=16), operator="basic"))
    randomise_(own, seed=1)
    maps = maps_between_stages(own.eval(), (1, 16, 16))
    whole = Exiting(Tapped(own, maps), exits_on(maps)).train()
    found, _ = ExitBatches(PLAN, None)(whole, digit_images, 0, {})
    assert [name for name, _ in found] == ["exits", "network"]
    assert all(parameter.grad is not None for parameter in whole.parameters())


def test_an_exit_does_not_see_what_comes_after_its_map(network: PlainNetwork) -> None:
    maps = maps_between_stages(network, (1, SIDE, SIDE))
    assert len(maps) > 1
    whole = Exiting(Tapped(network, maps), exits_on(maps)).eval()
    images = noise(2, 1, SIDE, SIDE)
    first, *_ = whole(images)
    first.sum().backward()
    last_slot = network.get_submodule(maps[-1].slot.replace(".", "_"))
    assert all(parameter.grad is None for parameter in last_slot.parameters())
    with torch.no_grad():
        assert torch.equal(whole(images)[-1], network(images))


def test_first_latents_differ_and_a_branch_begins_without_its_maps(network: PlainNetwork) -> None:
    maps = maps_between_stages(network, (1, SIDE, SIDE))
    exits = Exits(maps, CLASSES, Latents(number=4), seed=0)
    assert exits.latents.std(0).min() > 0
    projects = [stage.project for stage in exits.stages]
    assert all(isinstance(p, nn.Linear) and not p.weight.any() for p in projects)


def test_sizes_out_of_range_are_refused() -> None:
    with pytest.raises(UserError, match="the latents: number is 0. It must be at least 1"):
        Latents(number=0)
