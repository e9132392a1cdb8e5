"""Files of networks with early exits: ONNX that answers with all or stops, and weights.

`exits.all.onnx` gives the logits of every exit, "exit1", "exit2" and so on, the network's own last,
for any number of images. `exits.onnx` takes one image and computes no more than the first exit that
is sure needs (`compress/exit_graph.py`). Its outputs are "logits" and "exit", the number of the
exit from 1. An exit is sure if the largest of its softmax is above its entry of "thresholds", an
initializer that is an input, too: it may be given at run time in place of what the file says. No
probability is above 1, so that at 1 every image is answered by the last exit. `exits.safetensors`
has the weights of all, and the description of the network's slots and of the exits.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
from torch import fx, nn

from compress.exit_graph import EXIT, first_exit
from compress.export import export_onnx
from compress.quantize._apply import QUANTIZER
from compress.store import SCHEMA, network_in, stored
from search_spaces import Slot, UserError
from supernets.checkpoint import UNREADABLE, read_tensors, same_shapes, under, write_tensors
from supernets.exits import Exiting, Exits, Latents, Map, Tapped
from supernets.files import replacing
from supernets.network import PlainNetwork, module_name

EXITS = "exits"
"""Entry of a checkpoint's document that one of a network with exits has."""

OF_NETWORK, OF_EXITS = "network.", "exits."
"""What names of weights begin with."""


def with_exits(network: nn.Module, maps: Sequence[Map], exits: Exits) -> Exiting:
    """A compressed network with early exits; its last answer is what it was.

    Args:
        network: As `compress` made it, in fp32 or quantized.
        maps: That the exits look at.
        exits: The branch.
    """
    return Exiting(tapped(network, maps), exits).eval()


def tapped(network: nn.Module, maps: Sequence[Map]) -> nn.Module:
    """A compressed network that gives maps, as their readers see them, and then its logits."""
    if isinstance(network, PlainNetwork):
        return Tapped(network, maps)
    assert isinstance(network, fx.GraphModule), "a network that `compress` made"
    graph = copy.deepcopy(network.graph)
    names = {module_name(of_map.slot): of_map.slot for of_map in maps}
    made: dict[str, fx.Node] = {}
    for node in graph.nodes:
        slot = _slot_of(node)
        if slot in names and any(_slot_of(user) != slot for user in node.users):
            made[names[slot]] = node
    output = next(iter(reversed(graph.nodes)))
    output.args = ((*(made[of_map.slot] for of_map in maps), output.args[0]),)
    return fx.GraphModule(network, graph).eval()


def write_all_exits(exiting: Exiting, path: Path, *, shape: Sequence[int]) -> list[str]:
    """Write the file that answers with all exits.

    Args:
        exiting: In evaluation mode.
        path: The file; its folder must exist.
        shape: Of one image: channels, height and width.

    Returns:
        Names of its outputs.

    Raises:
        CandidateError: If the network cannot be exported.
    """
    names = [f"{EXIT}{number + 1}" for number in range(len(exiting.exits.heads) + 1)]
    export_onnx(exiting, path, shape=shape, outputs=names)
    return names


def write_first_exit(flat: Path, path: Path, thresholds: Sequence[float]) -> None:
    """Write the file that stops at the first exit that is sure.

    Args:
        flat: From `write_all_exits`.
        path: The file; its folder must exist.
        thresholds: In [0, 1], of every exit but the last.
    """
    model = first_exit(onnx.load(flat), thresholds)
    with replacing(path) as file:
        file.write_bytes(model.SerializeToString())


def save_exits(
    network: nn.Module,
    slots: Sequence[Slot],
    maps: Sequence[Map],
    exits: Exits,
    path: Path,
) -> None:
    """Write the checkpoint of a network with exits.

    Args:
        network: As `compress` made it from these slots.
        slots: Of the network.
        maps: That the exits look at.
        exits: The branch.
        path: The file; its folder must exist.
    """
    weights = {f"{OF_NETWORK}{n}": t for n, t in stored(network, slots).items()}
    weights |= {f"{OF_EXITS}{n}": t for n, t in exits.state_dict().items()}
    of_exits = {
        "maps": [of_map._asdict() for of_map in maps],
        "latents": asdict(exits.sizes),
        "num_classes": exits.num_classes,
    }
    slots_said = [slot.to_json() for slot in slots]
    write_tensors(path, weights, {"schema": SCHEMA, "slots": slots_said, EXITS: of_exits})


def load_exits(path: Path) -> Exiting:
    """The network in a checkpoint of a network with exits, in evaluation mode.

    Raises:
        UserError: If the file is damaged or another version's.
    """
    tensors, document = read_tensors(path)
    network = network_in(under(OF_NETWORK, tensors), document, path)
    try:
        said = document[EXITS]
        maps = [Map(m["slot"], m["width"], (m["size"][0], m["size"][1])) for m in said["maps"]]
        exits = Exits(maps, said["num_classes"], Latents(**said["latents"]), seed=0)
    except UNREADABLE as error:
        raise _damaged(path) from error
    if not same_shapes(under(OF_EXITS, tensors), exits):
        raise _damaged(path)
    exits.load_state_dict(under(OF_EXITS, tensors))
    return with_exits(network, maps, exits)


def has_exits(document: Mapping[str, Any]) -> bool:
    """Whether a checkpoint with this document is one of a network with exits."""
    return EXITS in document


def _damaged(path: Path) -> UserError:
    return UserError(f"'{path}' is damaged: its exits do not fit their weights. Make it again.")


def _slot_of(node: fx.Node) -> str:
    """Name of the submodule that a value is made in, its quantizer included; "" for none."""
    if node.op == "call_module" and str(node.target).startswith(QUANTIZER):
        return _slot_of(node.all_input_nodes[0])
    if node.op == "call_module":
        return str(node.target).partition(".")[0]
    for path, _ in node.meta.get("nn_module_stack", {}).values():
        return str(path).partition(".")[0]
    return ""
