"""What every kind of network keeps to: from choices to an exported file, whatever feeds whatever."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from compress.store import load_network, save_network
from search_spaces import (
    FORMATS,
    AbstractNetwork,
    Candidate,
    Choice,
    Option,
    Options,
    SearchSpace,
    Shape,
    Signature,
    Slot,
    SlotRule,
    Staged,
    declaration,
)
from search_spaces.networks._base import NETWORKS
from supernets.supernet import Supernet
from tests.onnx_graphs import answers, compress_for_here, export
from tests.strategies import covering, mini_space, noise, randomise_

SIDE = 16


@final
@dataclass(frozen=True, kw_only=True)
class Streams(AbstractNetwork):
    """Two streams behind the stem, one of which may be left out, whose sum is halved; a wide block
    reads it, and the head both side by side.
    """

    resolution: int = 16
    channels: int = 1
    num_classes: int = 10
    widths: tuple[int, ...] = (8, 16)

    def arch_choices(self) -> tuple[Choice, ...]:
        has_right = (("right.exists", (1,)),)
        return (
            Choice("width", self.widths),
            Choice("right.exists", (0, 1)),
            Choice("right.operator", ("mbconv", "window"), has_right),
        )

    def policy_choices(
        self, precisions: tuple[str, ...], sparsities: tuple[float, ...]
    ) -> tuple[Choice, ...]:
        return Choice("all.precision", precisions), Choice("all.sparsity", sparsities)

    def slot_rules(self) -> tuple[SlotRule, ...]:
        shared = ("width", "all.precision")
        pruned = (*shared, "all.sparsity")
        return (
            SlotRule("stem", shared, ()),
            SlotRule("left", pruned, (), ("stem",)),
            SlotRule("right", (*pruned, "right.exists"), ("right.operator",), ("stem",)),
            SlotRule("middle", shared, (), ("left", "right", "stem")),
            SlotRule("wide", pruned, ()),
            SlotRule("head", shared, (), ("middle", "wide"), "concatenation"),
        )

    def reads(self, operator: str) -> tuple[str, ...]:
        return ()

    def signature(self, slot: str, options: Mapping[str, Option]) -> Signature | None:
        width = int(options["width"])
        if slot == "right" and not options["right.exists"]:
            return None
        operator, shape = {
            "stem": ("stem", Shape(16, 8, self.channels, width)),
            "left": ("basic", Shape(8, 8, width, width)),
            "right": (str(options.get("right.operator")), Shape(8, 8, width, width)),
            "middle": ("downsample", Shape(8, 4, width, width)),
            "wide": ("basic", Shape(4, 4, width, width)),
            "head": ("head", Shape(4, 1, 2 * width, self.num_classes)),
        }[slot]
        rule = declaration(operator)
        known = {"stride": 2, "kernel_size": 3, "expand_ratio": 2, "num_heads": 1, "eca": 0}
        pick = rule.normalise(Options({dim: known[dim] for dim in rule.dims}), shape)
        sparsity = float(options.get("all.sparsity", 0.0))
        kept = {name: group.kept(sparsity) for name, group in rule.groups(pick, shape).items()}
        precision = str(options.get("all.precision", "fp32"))
        return Signature(operator, shape, pick, Options(kept), precision)

    def to_json(self) -> dict[str, Any]:
        return {"widths": self.widths}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Streams":
        return cls(widths=tuple(document["widths"]))


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
    monkeypatch.setitem(NETWORKS._classes, "test_networks", Streams)
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


def test_a_left_out_slot_hands_on_what_it_was_fed(kind: str) -> None:
    """In `Streams`, `middle` reads what is left; a slot behind one that is left out reads its inputs."""
    if kind != "streams":
        pytest.skip("chains have one input each")
    space = SearchSpace.of_network("streams", Streams())
    for exists, inputs in ((1, ("left", "right", "stem")), (0, ("left", "stem", "stem"))):
        options = {"width": 8, "right.exists": exists, "right.operator": "mbconv"}
        slots = {slot.name: slot for slot in space.slots(space.encode(options))}
        assert slots["middle"].inputs == inputs
        assert slots["wide"].inputs is None
        assert slots["head"].inputs == ("middle", "wide")
        assert slots["left"].inputs is None, "the stem is the slot before it"
        assert ("right" in slots) == exists
