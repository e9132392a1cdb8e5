"""Models become a family: their stitches, their paths, and what does not fit together."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compress.bring._input import InputRule
from compress.bring._stitch_layer import least_squares
from compress.bring.bring import (
    Brought,
    bring,
    give_weights,
    largest_slots,
    network_as_brought,
    read_brought,
    save_brought,
    space_of,
)
from compress.bring.stitch import positions, stitched, uncrossed
from nas.testing._tensors import randomise_
from search_spaces import SearchSpace, UserError
from search_spaces.networks.stitched import PATH, Stitched
from search_spaces.networks.traced import Traced
from supernets._merged import AbstractMerged
from supernets.fold import folded
from supernets.methods.cost_bins import CostBins
from supernets.network import PlainNetwork
from supernets.supernet import Supernet
from supernets.traced._updated import UpdatedConv2d, UpdatedLinear
from tests.compress.bring.models import ResNet
from tests.strategies import noise

IMAGES = [noise(8, 1, 16, 16, seed=seed) for seed in range(4)]


@cache
def brought(width: int, depth: int = 1, *, classes: int = 10, seed: int = 1) -> Brought:
    network = ResNet(depth=depth, width=width, channels=1, classes=classes)
    randomise_(network, seed=seed)
    return bring(f"resnet{width}", network.eval(), channels=1, resolution=16)


@pytest.fixture(scope="module")
def family() -> Brought:
    """Of a narrow and shallow network, and a wide and deep one."""
    return stitched([brought(8, 2), brought(4)], IMAGES)


def members(family: Brought) -> dict[str, Callable[[Tensor], Tensor]]:
    """Of a supernet that has the family's weights, by path."""
    space = space_of(family)
    supernet = Supernet(space).eval()
    give_weights(supernet, family)
    return {
        str(path): supernet.extract(space.slots((number,)))
        for number, path in enumerate(space.choice("path").options)
    }


def test_there_is_a_network_per_place_and_per_model(family: Brought) -> None:
    network = family.network
    assert isinstance(network, Stitched)
    small, large = network.anchors
    pairs = positions(small, large)
    assert len(network.paths) == len(pairs) + 2
    assert list(network.paths)[:2] == ["a2", "a1"]
    assert len(large.parts) > len(small.parts)
    # All parts have a partner but the last block with its pooling, the classifier, and what gives a
    # map of the last stage, which the shallow model has none of.
    assert {before for before, _ in pairs} == set(range(len(small.parts) - 2))
    assert {after for _, after in pairs} == set(range(len(large.parts) - 3))


@torch.no_grad()
def test_models_alone_are_what_they_were_and_all_paths_give_logits(family: Brought) -> None:
    found = members(family)
    for name, (width, depth) in {"a1": (4, 1), "a2": (8, 2)}.items():
        own = brought(width, depth)
        expected = network_as_brought(largest_slots(space_of(own)), own.weights)
        torch.testing.assert_close(found[name](IMAGES[0]), expected(IMAGES[0]))
    assert all(network(IMAGES[0]).shape == (8, 10) for network in found.values())


@torch.no_grad()
def test_a_stitch_begins_as_the_solution_of_least_squares(family: Brought) -> None:
    network = family.network
    assert isinstance(network, Stitched)
    stitch = network.stitches[0]
    maps = {}
    for name in ("a1", "a2"):
        member = members(family)[name]
        assert isinstance(member, PlainNetwork)
        part = {"a1": stitch.before, "a2": stitch.after - 1}[name]
        names = [slot.name.replace(".", "_") for slot in member.arch]
        rows: list[Tensor] = []
        member.get_submodule(names[part]).register_forward_hook(
            lambda _, __, output, rows=rows: rows.append(output.permute(0, 2, 3, 1).flatten(0, 2))
        )
        for images in IMAGES:
            member(images)
        maps[name] = torch.cat(rows).double()
    before = torch.cat([maps["a1"], torch.ones(len(maps["a1"]), 1, dtype=torch.float64)], 1)
    solution = torch.linalg.pinv(before) @ maps["a2"]
    weight = family.weights[f"{stitch.part.name}.stitch.weight"][..., 0, 0].double()
    bias = family.weights[f"{stitch.part.name}.stitch.bias"].double()
    torch.testing.assert_close(torch.cat([weight.T, bias[None]]), solution, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_model_stitched_to_itself_computes_the_same_on_every_path() -> None:
    found = members(stitched([brought(8), brought(8)], IMAGES, is_two_way=True))
    expected = found["a2"](IMAGES[1])
    for network in found.values():
        torch.testing.assert_close(network(IMAGES[1]), expected, atol=1e-4, rtol=1e-3)


def test_least_squares_find_an_affine_map() -> None:
    before, weight, bias = noise(200, 6), noise(3, 6, seed=1), noise(3, seed=2)
    found = least_squares(before, before @ weight.T + bias)
    torch.testing.assert_close(found, (weight, bias), atol=1e-5, rtol=1e-5)


def test_channels_that_are_0_or_follow_from_others_do_no_harm() -> None:
    map_ = torch.cat([noise(5000, 4), torch.zeros(5000, 2), noise(5000, 2, seed=1)], 1).relu()
    map_[:, 6] = map_[:, 0] + map_[:, 1]
    weight, bias = least_squares(map_, map_)
    torch.testing.assert_close(map_ @ weight.T + bias, map_, atol=1e-5, rtol=1e-5)
    assert weight[:, 4:6].abs().max() < 1e-6, "the smallest weights"


def test_a_family_is_stored_like_a_model(family: Brought, tmp_path: Path) -> None:
    save_brought(family, tmp_path / "family.safetensors")
    again = read_brought(tmp_path / "family.safetensors")
    assert again.network == family.network
    assert all(torch.equal(tensor, again.weights[n]) for n, tensor in family.weights.items())
    path = network_as_brought(largest_slots(space_of(again)), again.weights)
    assert path(IMAGES[0]).shape == (8, 10)


class Flat(nn.Module):
    """Without a map that another network has."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 5, 5)
        self.fc = nn.Linear(36, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x).relu().flatten(1))


@pytest.mark.parametrize(
    ("others", "message"),
    [
        (lambda: [], "a family has at least two models"),
        (lambda: [brought(4, classes=7)], "differ in num_classes: (10 and 7|7 and 10)"),
        (
            lambda: [replace(brought(4), input=InputRule(mean=(0.5,), std=(0.5,)))],
            "differ in the mean that they take from images",
        ),
        (
            lambda: [bring("flat", Flat().eval(), channels=1, resolution=16)],
            "have no maps of one size",
        ),
        (lambda: [stitched([brought(4), brought(8)], IMAGES)], "is a family already"),
    ],
)
def test_models_that_do_not_fit_together_are_refused(
    others: Callable[[], list[Brought]], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        stitched([brought(8), *others()], IMAGES)


def test_the_depth_of_models_stays() -> None:
    deep = brought(4, 3)
    assert isinstance(deep.network, Traced)
    assert deep.network.stages
    network = stitched([deep, brought(8, 3)], IMAGES).network
    assert isinstance(network, Stitched)
    assert not any(anchor.stages for anchor in network.anchors)


@cache
def both_ways(update_rank: int = 0) -> Brought:
    """Of the same two, with ways back."""
    return stitched([brought(8, 2), brought(4)], IMAGES, is_two_way=True, update_rank=update_rank)


def test_stitches_lead_both_ways_and_back() -> None:
    network = both_ways().network
    assert isinstance(network, Stitched)
    small, large = network.anchors
    pairs = positions(small, large)
    assert uncrossed(pairs) == pairs
    returns = sum(a < b and x < y for a, x in pairs for b, y in pairs)
    assert returns
    assert len(network.paths) == 2 + 2 * len(pairs) + 2 * returns
    ways = {
        tuple(dict.fromkeys(slot[:2] for slot in slots if slot.startswith("a")))
        for slots in network.paths.values()
    }
    assert ways == {("a1",), ("a2",), ("a1", "a2"), ("a2", "a1")}
    kinds = {name.count("+") for name in network.paths}
    assert kinds == {0, 1}
    row = [part.name for part in network.parts]
    for slots in network.paths.values():
        places = [row.index(slot) for slot in slots]
        assert places == sorted(set(places)), "a path is a part of the row"


def test_ways_there_and_back_leave_out_what_they_replace() -> None:
    network = both_ways().network
    assert isinstance(network, Stitched)
    for name, slots in network.paths.items():
        if "+" not in name:
            continue
        there, back = name.split("+")
        own = [slot for slot in slots if slot.startswith(name[:2])]
        all_own = network.paths[name[:2]]
        left, entered = there.split("-")
        last, again = back.split("-")
        between = all_own.index(again) - all_own.index(left) - 1
        assert between >= 1
        assert len(own) == len(all_own) - between
        others = [slot for slot in slots if slot.startswith(entered[:2])]
        assert (others[0], others[-1]) == (entered, last)
        assert sum(slot.startswith("stitch") for slot in slots) == 2


def test_pairs_that_cross_lead_nowhere_back() -> None:
    assert uncrossed([(0, 2), (1, 1), (1, 2), (2, 1), (2, 3)]) == [(0, 2), (1, 2), (2, 3)]


@torch.no_grad()
@pytest.mark.parametrize("is_two_way", [False, True])
def test_stitches_with_updates_begin_as_those_without(is_two_way: bool) -> None:
    models = [brought(8), brought(4)]
    plain, updated = (
        members(stitched(models, IMAGES, is_two_way=is_two_way, update_rank=rank))
        for rank in (0, 2)
    )
    assert plain.keys() == updated.keys()
    for path, network in plain.items():
        assert torch.equal(network(IMAGES[0]), updated[path](IMAGES[0])), path


@torch.no_grad()
def test_an_update_that_has_learnt_is_one_layer_when_it_is_deployed() -> None:
    family = stitched([brought(8), brought(4)], IMAGES, is_two_way=True, update_rank=2)
    space = space_of(family)
    supernet = Supernet(space)
    randomise_(supernet, seed=3)
    for number in range(len(space.choice("path").options)):
        trained = supernet.extract(space.slots((number,)))
        deployed = folded(trained)
        assert not any(isinstance(module, AbstractMerged) for module in deployed.modules())
        torch.testing.assert_close(deployed(IMAGES[1]), trained(IMAGES[1]), atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("layer", [UpdatedConv2d(6, 5, 2), UpdatedLinear(6, 5, 2)])
def test_the_merged_layer_is_the_sum(layer: UpdatedConv2d | UpdatedLinear) -> None:
    before = layer.get_buffer("weight").clone()
    torch.testing.assert_close(layer.merged().weight, before, atol=0, rtol=0)
    randomise_(layer, seed=1)
    sides = (6, 6) if isinstance(layer, UpdatedConv2d) else ()
    x = noise(3, 6, *sides) if sides else noise(3, 4, 6)
    assert (layer.merged().weight - before).abs().max() > 0.01
    torch.testing.assert_close(layer.merged()(x), layer(x), atol=1e-6, rtol=1e-6)


def test_what_is_frozen_gets_no_gradient() -> None:
    family = stitched([brought(8), brought(4)], IMAGES, update_rank=2)
    space = space_of(family)
    supernet = Supernet(space).train()
    give_weights(supernet, family)
    number = next(n for n, path in enumerate(space.choice("path").options) if "-" in str(path))
    supernet(IMAGES[0], space.slots((number,))).square().mean().backward()
    own = {name: p for name, p in supernet.named_parameters() if ".stitch." in name}
    used = {name.rpartition(".")[2] for name, p in own.items() if p.grad is not None}
    assert used == {"down", "up", "bias"}
    assert any(p.grad.any() for n, p in own.items() if n.endswith("up") and p.grad is not None)


def test_paths_are_trained_in_the_shares_of_their_bins_each_as_often() -> None:
    space = space_of(both_ways()).with_policy(("fp32",), (0.0, 0.5))
    wanted = np.array([1.0, 3.0, 2.0])
    method = CostBins(space=space, num_bins=3, bin_shares="1:3:2", sparse_from=600)
    has_some = method.bins.having(is_dense=True)
    rows = np.array([method.draw(turn, np.random.default_rng([0, turn])) for turn in range(600)])
    found = np.bincount(method.bins.of(rows), minlength=3) / 600
    assert found == pytest.approx(wanted * has_some / wanted[has_some].sum(), abs=0.02)
    paths = np.bincount(rows[:, space.index(PATH)], minlength=space.cardinalities[0])
    places = method.bins.of(all_paths(space))
    for place in np.flatnonzero(has_some):
        own = paths[places == place]
        # Poisson: below a mean less 5 sigma less than once in a million.
        assert own.min() > own.mean() - 5 * own.mean() ** 0.5
        assert own.min() > 0


def all_paths(space: SearchSpace) -> np.ndarray:
    """Every path, with nothing pruned."""
    rows = np.zeros((space.cardinalities[space.index(PATH)], len(space.choices)), int)
    rows[:, space.index(PATH)] = np.arange(len(rows))
    return rows
