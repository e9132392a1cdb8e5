"""A network that was trained elsewhere becomes a space, and a supernet that has its weights."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from compress.bring._cut import network_of
from compress.bring._input import InputRule, input_rule_of
from compress.bring._read import read
from compress.bring._scores import own_path, prepared
from compress.bring._trace import graph_of, tensors_of
from compress.bring.rules import apply_rule
from search_spaces import Resolution, SearchSpace, Slot, UserError, read_sides
from search_spaces.networks._base import network_from_json, network_to_json
from search_spaces.networks.stitched import Stitched
from search_spaces.networks.traced import Traced
from search_spaces.traced.operator import FRAGMENT
from supernets.checkpoint import UNREADABLE, read_tensors, write_tensors
from supernets.network import PlainNetwork, module_name
from supernets.supernet import Supernet

EXAMPLES = 2
"""Images that a network is traced with; how many there are is left open."""

CHECKED, CLOSE = 3, 1e-3
"""Images for which what was read is compared, and how much of the largest score it may be off."""

SCHEMA = 1


@dataclass(frozen=True)
class Brought:
    """A network that was brought.

    Attributes:
        name: Of the function that made it.
        network: What may be decided about it.
        weights: By name of the module that has it in its slot, "<slot>.<node>.<weight>".
        left_alone: Operations that no rule knows, and where they are: around them nothing is
            pruned or quantized.
        input: What its configuration says of images.
        notes: What is not as the user's code or file has it, a sentence each; not kept in files.
    """

    name: str
    network: Traced | Stitched
    weights: Mapping[str, Tensor]
    left_alone: tuple[tuple[str, str], ...] = ()
    input: InputRule = field(default_factory=InputRule)
    notes: tuple[str, ...] = field(default=(), compare=False)


def bring(name: str, network: nn.Module, *, channels: int, resolution: Resolution) -> Brought:
    """What may be decided about a network, and its weights.

    Args:
        name: Of it.
        network: In evaluation mode.
        channels: Of the images.
        resolution: Height and width of the images in pixels, as they are written.

    Raises:
        UserError: If it cannot be traced, or is no classifier of such images.
    """
    images = torch.zeros(EXAMPLES, channels, *read_sides(resolution))
    rule = input_rule_of(network)
    network, notes = prepared(name, network, images)
    found = bring_program(name, graph_of(network, images))
    return replace(found, input=rule, notes=(*notes, *found.notes))


def bring_program(name: str, program: ExportedProgram) -> Brought:
    """As `bring`, of what tracing gives.

    Args:
        name: Of the network.
        program: With the number of images left open, or `BATCH_SIZE`.

    Raises:
        UserError: If it is no classifier of one input and one output, or not all that it does is
            followed.
    """
    reading, given, output = read(program, apply_rule)
    traced, keys = network_of(reading, given, output)
    weights = {
        f"{module_name(slot)}.{node}.{weight}": reading.state[key].detach().clone()
        for (slot, node, weight), key in keys.items()
    }
    shared = [key for key, uses in Counter(keys.values()).items() if uses > 1]
    notes = tuple(
        f"'{own_path(key)}' is used in several places: each has its own" for key in shared
    )
    left_alone = tuple(dict.fromkeys(reading.left_alone))
    brought = Brought(name, traced, weights, left_alone, notes=tuple(notes))
    _refuse_other_answers(brought, program)
    return brought


@torch.no_grad()
def _refuse_other_answers(brought: Brought, program: ExportedProgram) -> None:
    """What was read must answer as the program does.

    Raises:
        UserError: If it does not, as where the program writes into a part of a tensor.
    """
    generator = torch.Generator().manual_seed(0)
    sizes = (CHECKED, brought.network.channels, *brought.network.sides)
    images = torch.randn(sizes, generator=generator)
    own = tensors_of(program)
    given = [
        own[node.name][1] if node.name in own else images
        for node in program.graph.nodes
        if node.op == "placeholder"
    ]
    # NOTE: not `program.module()`, which executes code that files of programs hold.
    expected = fx.Interpreter(program.graph_module).run(*given)[0]
    network = network_as_brought(largest_slots(space_of(brought)), brought.weights)
    apart = (network(images) - expected).abs().max()
    if not apart <= CLOSE * expected.abs().max():
        raise UserError(
            f"model '{brought.name}' cannot be brought: what was read of it answers otherwise than "
            "it does. Writing into a part of a tensor (x[:, 0] = y), making integers of reals and "
            "drawing random numbers are not followed. Write the network without them."
        )


def network_as_brought(slots: Sequence[Slot], weights: Mapping[str, Tensor]) -> PlainNetwork:
    """A network with the weights that it was brought with, in evaluation mode.

    Args:
        slots: Of it, with none of their groups pruned.
        weights: As in `Brought`.
    """
    network = PlainNetwork(slots)
    # NOTE: what is brought has no counters of batch norm; torch sets those that are missing to 0.
    used = {module_name(slot.name) for slot in slots}  # of a family, not all
    network.load_state_dict({n: w for n, w in weights.items() if n.partition(".")[0] in used})
    return network.eval()


def largest_slots(space: SearchSpace) -> tuple[Slot, ...]:
    """Of a space of a network that was brought, the slots that nothing is taken from."""
    return space.slots(space.canonical([0] * len(space.choices)))


def give_weights(supernet: Supernet, brought: Brought) -> None:
    """Makes the network that was brought the largest member of a supernet of its space."""
    own = supernet.state_dict()
    with torch.no_grad():
        for name, tensor in brought.weights.items():
            slot, node, weight = name.split(".")
            own[f"slots.{slot}.operators.{FRAGMENT}.full.{node}.{weight}"].copy_(tensor)


def space_of(brought: Brought) -> SearchSpace:
    """Its space, without policies."""
    return SearchSpace.of_network(brought.name, brought.network)


def save_brought(brought: Brought, path: Path) -> None:
    """Writes a file from which `read_brought` has the network without the user's code."""
    document = {
        "schema": SCHEMA,
        "name": brought.name,
        "network": network_to_json(brought.network),
        "left_alone": brought.left_alone,
        "input": brought.input.to_json(),
    }
    write_tensors(path, brought.weights, document)


def read_brought(path: Path) -> Brought:
    """The inverse of `save_brought`.

    Raises:
        UserError: If the file is damaged or of another kind.
    """
    weights, document = read_tensors(path)
    try:
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is {document['schema']!r:.40}, not {SCHEMA}")
        return Brought(
            str(document["name"]),
            _network_in(document["network"]),
            weights,
            tuple((str(op), str(place)) for op, place in document["left_alone"]),
            InputRule.from_json(document.get("input", {})),
        )
    except UNREADABLE as error:
        raise UserError(
            f"'{path}' is no model that was brought ({error!s:.200}). Restore it, or bring the "
            "model again in a new run."
        ) from error


def _network_in(document: Mapping[str, Any]) -> Traced | Stitched:
    network = network_from_json({"kind": "traced", **document})  # runs of before have none
    if not isinstance(network, Traced | Stitched):
        raise ValueError(f"its network is {type(network).__name__}")
    return network
