"""Models become a family: their stitches, their paths, and what does not fit together."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from compress.bring._input import InputRule
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
from compress.bring.stitch import least_squares, positions, stitched
from nas.testing._tensors import randomise_
from search_spaces import UserError
from search_spaces.networks.stitched import Stitched
from search_spaces.networks.traced import Traced
from supernets.network import PlainNetwork
from supernets.supernet import Supernet
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
    found = members(stitched([brought(8), brought(8)], IMAGES))
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
