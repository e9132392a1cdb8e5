"""What a call of a network does, as `torch.export` tells it: a program."""

import re

import torch
from torch import Tensor, nn

from search_spaces import UserError


def graph_of(network: nn.Module, images: Tensor) -> torch.export.ExportedProgram:
    """What a call of the network does, for any number of images.

    Raises:
        UserError: If it cannot be told, because it depends on the values of tensors.
    """
    try:
        return _exported(network, images)
    except Exception as error:  # torch raises a dozen unrelated classes
        fact = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(
            f"the network cannot be traced{_place(network, images)}: {fact:.300}. What it does "
            "must not depend on values of tensors or on the number of images."
        ) from error


def _exported(
    network: nn.Module, images: Tensor, *, is_strict: bool = False
) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=2, max=4096)
    shapes = ({0: batch},)
    return torch.export.export(network, (images,), dynamic_shapes=shapes, strict=is_strict)


def _place(network: nn.Module, images: Tensor) -> str:
    """Where in the user's code tracing stops, which only the other way of tracing says."""
    try:
        _exported(network, images, is_strict=True)
    except Exception as error:  # again
        places = re.findall(r'File "([^"]+)", line (\d+)', str(error))
        own = [place for place in places if "site-packages" not in place[0]]
        return f" at '{own[-1][0]}', line {own[-1][1]}" if own else ""
    return ""


def tensors_of(program: torch.export.ExportedProgram) -> dict[str, tuple[str, Tensor]]:
    """By name of an input that is the network's own, such as a weight: its key, and what it is."""
    signature = program.graph_signature
    keys = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    keys |= signature.inputs_to_lifted_tensor_constants
    held = {**program.constants, **program.state_dict}
    return {name: (key, held[key]) for name, key in keys.items()}
