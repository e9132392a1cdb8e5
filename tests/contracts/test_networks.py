"""What every kind of network keeps to: from choices to an exported file, whatever feeds whatever."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from compress.store import load_network, save_network
from search_spaces import (
    FORMATS,
    AbstractNetwork,
    Candidate,
    SearchSpace,
    Slot,
    Staged,
)
from search_spaces.networks._base import NETWORKS
from supernets.supernet import Supernet
from tests.onnx_graphs import answers, compress_for_here, export
from tests.strategies import covering, mini_space, noise, randomise_
from tests.streams import Streams

SIDE = 16


def examples() -> dict[str, AbstractNetwork]:
    """Networks for images of 16 px and one channel: of every kind, and of one that is not ours."""
    staged = mini_space(resolution=SIDE, operators=("mbconv", "window")).network
    assert isinstance(staged, Staged)
    stems = replace(staged, stems=("stem", "patch"), stem_strides=(2, 1, 4))
    return {"staged": staged, "staged with stems": stems, "streams": Streams()}


pytestmark = pytest.mark.parametrize("kind", sorted(examples()))


def space_of(kind: str) -> SearchSpace:
    space = SearchSpace.of_network(kind, examples()[kind])
    return space.with_policy(FORMATS.names(), (0.0, 0.5))


def members(space: SearchSpace) -> list[Candidate]:
    """Every option of every choice, and some more together."""
    some = space.sample(np.random.default_rng(1), 64)
    return [*covering(space), *map(space.candidate, some.tolist())]


def random_supernet(space: SearchSpace) -> Supernet:
    supernet = Supernet(space)
    randomise_(supernet, seed=1)
    supernet.rank()
    return supernet.eval()


def image(batch: int = 3) -> torch.Tensor:
    return noise(batch, 1, SIDE, SIDE, seed=3)


def test_every_kind_has_an_example_here(kind: str) -> None:
    assert set(NETWORKS.names()) <= set(examples())


def test_its_space_is_the_same_after_json(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS._classes, "streams", Streams)
    space = space_of(kind)
    assert SearchSpace.from_json(json.loads(json.dumps(space.to_json()))) == space


def test_slots_come_after_what_feeds_them_and_are_the_same_after_json(kind: str) -> None:
    space = space_of(kind)
    for candidate in members(space):
        slots = space.slots(candidate.encoding)
        known = {""}
        for slot in slots:
            assert set(slot.inputs or ()) <= known
            known.add(slot.name)
            assert Slot.from_json(slot.to_json()) == slot


@torch.no_grad()
def test_it_can_be_trimmed_to_one_option_of_any_choice(kind: str) -> None:
    """Choices that can then never be active are dropped, and their slots with them."""
    space = space_of(kind)
    for choice in space.choices:
        for option in choice.options:
            trimmed = space.restricted({choice.name: (option,)})
            supernet = Supernet(trimmed).eval()
            slots = trimmed.slots([0] * len(trimmed.choices))
            assert supernet(image(), slots).shape == (3, 10)


def test_declared_costs_are_those_of_the_extracted_network(kind: str) -> None:
    space = space_of(kind)
    assert space.costs is not None
    supernet = random_supernet(space)
    for candidate in members(space):
        network = supernet.extract(space.slots(candidate.encoding))
        with FlopCounterMode(display=False) as counter:
            network(image(1))
        row = np.array([candidate.encoding])
        assert space.costs.of("macs", row)[0] * 2 == counter.get_total_flops()
        assert space.costs.of("params", row)[0] == sum(p.numel() for p in network.parameters())


@torch.no_grad()
def test_a_member_equals_its_extraction(kind: str) -> None:
    space = space_of(kind)
    supernet = random_supernet(space)
    for candidate in members(space):
        slots = space.slots(candidate.encoding)
        difference = supernet(image(), slots) - supernet.extract(slots)(image())
        assert difference.abs().max() <= 1e-5


def test_every_shared_weight_gets_a_gradient_from_some_member(kind: str) -> None:
    space = space_of(kind)
    supernet = random_supernet(space).train()
    for candidate in members(space):
        logits = supernet(image(), space.slots(candidate.encoding))
        (logits * noise(*logits.shape, seed=7)).sum().backward()
    assert not [name for name, p in supernet.named_parameters() if p.grad is None]


@torch.no_grad()
def test_it_is_compressed_stored_and_exported(kind: str, tmp_path: Path) -> None:
    space = space_of(kind)
    supernet = random_supernet(space)
    images = noise(60, 1, SIDE, SIDE, seed=4)
    for candidate in covering(space):
        slots = space.slots(candidate.encoding)
        found = compress_for_here(supernet.extract(slots), slots, [noise(16, 1, SIDE, SIDE)])
        expected = found.network(images).numpy()
        shipped = answers(export(found.network, space, tmp_path / "a.onnx"), images)
        assert (expected.argmax(1) == shipped.argmax(1)).mean() >= 0.95
        save_network(found.network, slots, tmp_path / "a.safetensors")
        loaded = load_network(tmp_path / "a.safetensors")
        assert np.array_equal(loaded(images).numpy(), expected)
