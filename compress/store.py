"""The compressed checkpoint: a deployed network as weights and a description of its slots.

`save_network` writes integers and scales where a network is quantized; `load_network` rebuilds the
very module that was exported. No code is stored, so it outlives versions of this package that keep
the operators' names.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from compress.apply import quantize
from search_spaces import CandidateError, Slot, UserError, input_shape
from supernets.checkpoint import UNREADABLE, read_tensors, same_shapes, write_tensors
from supernets.fold import folded
from supernets.network import PlainNetwork

SCHEMA = 1


def save_network(network: nn.Module, slots: Sequence[Slot], path: Path) -> None:
    """Write a network that `compress` made from these slots."""
    document = {"schema": SCHEMA, "slots": [slot.to_json() for slot in slots]}
    write_tensors(path, stored(network, slots), document)


def load_network(path: Path) -> nn.Module:
    """The network in a checkpoint, in evaluation mode.

    Raises:
        UserError: If the file is damaged, newer than this program, or of another kind.
    """
    tensors, document = read_tensors(path)
    return network_in(tensors, document, path)


def network_in(tensors: Mapping[str, Tensor], document: Mapping[str, Any], path: Path) -> nn.Module:
    """The network that a checkpoint holds, in evaluation mode.

    Args:
        tensors: Of the network, by their names in its state.
        document: Has `schema` and `slots`.
        path: Of the file, for messages.

    Raises:
        UserError: As `load_network`.
    """
    schema = document.get("schema", SCHEMA)
    if not document.get("slots") or schema not in range(SCHEMA + 1):
        raise UserError(
            f"'{path}' is not a network of schema {SCHEMA} (found {document.get('schema')!r:.40}). "
            "Give a model.safetensors of a front member, or install a newer version."
        )
    try:
        slots = [Slot.from_json(slot) for slot in document["slots"]]
        blank = torch.zeros(1, *input_shape(slots[0].signature))
        network = quantize(folded(PlainNetwork(slots).eval()), slots, [blank]).network
    except UserError:
        raise
    except (*UNREADABLE, CandidateError, RuntimeError) as error:
        fact = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"'{path}' is damaged: its slots are none ({fact:.200}). Export it again."
        ) from error
    tables = network.state_dict().keys() - stored(network, slots).keys()
    state = {**tensors, **{name: network.state_dict()[name] for name in tables}}
    if not same_shapes(state, network):
        raise UserError(f"'{path}' is damaged: its weights do not fit its slots. Export it again.")
    network.load_state_dict(state)
    return network.eval()


def num_params(path: Path) -> int:
    """How many values a checkpoint of a network in full precision holds, batch norm folded."""
    return sum(tensor.numel() for tensor in read_tensors(path)[0].values())


def stored(network: nn.Module, slots: Sequence[Slot]) -> dict[str, Tensor]:
    """The state without tables that tracing put there: masks and positions follow from slots."""
    state = dict(network.state_dict())
    if not isinstance(network, fx.GraphModule):
        return state
    with torch.device("meta"):
        own = PlainNetwork(slots).state_dict().keys()
    read = {str(node.target) for node in network.graph.nodes if node.op == "get_attr"}
    tables = read - own - {name for name, _ in network.named_parameters()}
    return {name: tensor for name, tensor in state.items() if name not in tables}
