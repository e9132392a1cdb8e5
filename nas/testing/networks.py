"""What every kind of network keeps to: from choices to a file, whatever feeds whatever.

`OF_NETWORK` check a network for images of 32 px at most; `CHECKS` check a kind by its name, with
the network of the space of that name.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnx
import torch
from torch.utils.flop_counter import FlopCounterMode

from nas.latency.measure import export_random
from nas.testing._by_name import by_name
from nas.testing._expect import require
from nas.testing._exported import require_shipped_as_simulated
from nas.testing._spaces import covering, random_supernet
from nas.testing._tensors import noise
from search_spaces import (
    FORMATS,
    FULL_PRECISION,
    SPACES,
    AbstractNetwork,
    Candidate,
    SearchSpace,
    Slot,
    load_space,
    signature_cost,
    slot_cost,
)
from search_spaces.networks._base import NETWORKS
from supernets.fold import folded
from supernets.supernet import Supernet

SIZE = "32x24"
SAMPLES, MOST_SAMPLES = 16, 64
"""Members drawn besides those that cover all options; and where it matters that none is missed."""

TWO_FORMATS = (FULL_PRECISION, "int8")
"""Of networks that are not written as files: which formats there are changes nothing."""

TOLERANCE = 1e-5
JOINS = ("Add", "Concat")
"""ONNX operators that make one map of several."""


def check_its_space_is_the_same_after_json(network: AbstractNetwork) -> None:
    """Its space is the same after JSON."""
    space = _space(network)
    again = SearchSpace.from_json(json.loads(json.dumps(space.to_json())))
    require(again == space, f"{again.network} is made of the JSON of {space.network}")


def check_slots_come_after_what_feeds_them(network: AbstractNetwork) -> None:
    """Slots come after what feeds them, and are the same after JSON."""
    space = _space(network)
    for candidate in _members(network):
        known = {""}
        for slot in space.slots(candidate.encoding):
            unknown = set(slot.inputs or ()) - known
            require(not unknown, f"'{slot.name}' reads {', '.join(unknown)} before it is filled")
            require(slot.name not in known, f"two slots are called '{slot.name}'")
            known.add(slot.name)
            require(Slot.from_json(slot.to_json()) == slot, f"{slot} is another after JSON")


@torch.no_grad()
def check_it_can_be_trimmed_to_one_option_of_any_choice(network: AbstractNetwork) -> None:
    """It can be trimmed to one option of any choice."""
    space = _space(network)
    wanted = (3, *network.output_shape)
    for choice in space.choices:
        for option in choice.options:
            trimmed = space.restricted({choice.name: (option,)})
            slots = trimmed.slots([0] * len(trimmed.choices))
            found = tuple(Supernet(trimmed).eval()(_images(network), slots).shape)
            what = f"with {choice.name} {option!r}"
            require(found == wanted, f"{what} it gives {found}, not {wanted}")


def check_declared_costs_are_those_of_the_extracted_network(network: AbstractNetwork) -> None:
    """Declared multiply-adds are those of the network as deployed, parameters as trained."""
    space = _space(network)
    assert space.costs is not None
    supernet = random_supernet(space)
    for candidate in _members(network):
        plain = supernet.extract(space.slots(candidate.encoding))
        deployed = folded(plain)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            deployed(_images(network)[:1])
        row = np.array([candidate.encoding])
        for metric, found in (
            ("macs", counter.get_total_flops() / 2),
            ("params", sum(p.numel() for p in plain.parameters())),
        ):
            declared = space.costs.of(metric, row)[0]
            what = f"{candidate.arch} declares {declared:g} {metric}"
            require(declared == found, f"{what}, and has {found:g}")


def check_what_joins_maps_is_declared_as_it_is_exported(network: AbstractNetwork) -> None:
    """A file has as many more additions and copies than its slots alone as joins declare calls."""
    space = SearchSpace.of_network("checked", network)
    members = (space.slots(candidate.encoding) for candidate in covering(space))
    slots = max(members, key=lambda slots: sum(slot.num_inputs for slot in slots))
    declared = sum(slot_cost(slot).calls - signature_cost(slot.signature).calls for slot in slots)
    if all(slot.num_inputs == 1 for slot in slots):
        require(not declared, f"{declared} calls are declared of joins in a row")
        return
    found = _num_joins(slots) - sum(_num_joins([Slot(x.name, x.signature)]) for x in slots)
    require(found == declared, f"joins declare {declared} calls, and {found} are exported")


def _num_joins(slots: Sequence[Slot]) -> int:
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        file = Path(folder, "network.onnx")
        export_random(slots, file)
        found = Counter(node.op_type for node in onnx.load(file).graph.node)
    return sum(found[name] for name in JOINS)


@torch.no_grad()
def check_a_member_equals_its_extraction(network: AbstractNetwork) -> None:
    """A member that runs with shared weights equals its extraction."""
    space = _space(network)
    supernet = random_supernet(space)
    images = _images(network)
    for candidate in _members(network):
        slots = space.slots(candidate.encoding)
        apart = float((supernet(images, slots) - supernet.extract(slots)(images)).abs().max())
        require(apart <= TOLERANCE, f"{candidate.arch} differs by {apart:.2g}")


def check_every_shared_weight_gets_a_gradient(network: AbstractNetwork) -> None:
    """Every shared weight gets a gradient from some member."""
    space = _space(network)
    supernet = random_supernet(space).train()
    without: list[str] = []
    for candidate in _members(network, MOST_SAMPLES):
        logits = supernet(_images(network), space.slots(candidate.encoding))
        (logits * noise(*logits.shape, seed=7)).sum().backward()
        without = [name for name, p in supernet.named_parameters() if p.grad is None]
        if not without:
            break
    require(not without, f"no member uses {', '.join(without)}")


def check_it_is_compressed_stored_and_exported(network: AbstractNetwork) -> None:
    """Members in all formats answer alike as modules, ONNX files and checkpoints."""
    space = _of_formats(network, tuple(FORMATS.names()))
    supernet = random_supernet(space)
    for candidate in covering(space):
        slots = space.slots(candidate.encoding)
        require_shipped_as_simulated(supernet, slots, least_same=0.95)


OF_NETWORK: tuple[Callable[[AbstractNetwork], None], ...] = (
    check_its_space_is_the_same_after_json,
    check_slots_come_after_what_feeds_them,
    check_it_can_be_trimmed_to_one_option_of_any_choice,
    check_declared_costs_are_those_of_the_extracted_network,
    check_what_joins_maps_is_declared_as_it_is_exported,
    check_a_member_equals_its_extraction,
    check_every_shared_weight_gets_a_gradient,
    check_it_is_compressed_stored_and_exported,
)


def check_a_space_of_its_name_is_such_a_network(name: str) -> None:
    """A space of its name is a network of this kind."""
    network_of(name)


def network_of(name: str) -> AbstractNetwork:
    """The network of the space of a kind's name, for grey images of 32 x 24 px in 10 classes."""
    require(
        name in SPACES,
        f"kind of network '{name}' has no space of its name, which is what is checked: the "
        "same file must register one in SPACES",
    )
    network = load_space(name, resolution=SIZE, channels=1, num_classes=10).network
    wanted = NETWORKS.get(name)
    require(type(network) is wanted, f"space '{name}' is no {wanted.__name__}, but {network}")
    assert network is not None
    return network


def _networks(name: str) -> list[tuple[AbstractNetwork]]:
    return [(network_of(name),)]


CHECKS: tuple[Callable[[str], None], ...] = (
    check_a_space_of_its_name_is_such_a_network,
    *(by_name(check, _networks) for check in OF_NETWORK),
)


@lru_cache(maxsize=16)
def _of_formats(network: AbstractNetwork, formats: tuple[str, ...]) -> SearchSpace:
    return SearchSpace.of_network("checked", network).with_policy(formats, (0.0, 0.5))


def _space(network: AbstractNetwork) -> SearchSpace:
    """The space of a network, with two formats."""
    return _of_formats(network, TWO_FORMATS)


@lru_cache(maxsize=32)
def _members(network: AbstractNetwork, samples: int = SAMPLES) -> list[Candidate]:
    """Every option of every choice, words like numbers, and some more together."""
    space = _space(network)
    some = space.sample(np.random.default_rng(1), samples)
    return [*covering(space), *map(space.candidate, some.tolist())]


def _images(network: AbstractNetwork) -> torch.Tensor:
    return noise(3, network.channels, *network.sides, seed=3)
