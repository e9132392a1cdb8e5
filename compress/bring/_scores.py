"""A network as it is traced: of one input and one output, in fp32, on this machine's processor.

What a network is besides is brought to that where nothing is lost, and said; all else is refused.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces import UserError, written_sides

LOGITS = "logits"
"""What libraries call scores where an answer has several parts."""

MOST_NAMED = 5
WRAP = "Write a function that returns a module which gives the scores alone."


class Scores(nn.Module):
    """A network of whose answer one part is taken."""

    def __init__(self, network: nn.Module, part: str | int) -> None:
        super().__init__()
        self.brought_network = network
        self.part = part

    def forward(self, images: Tensor) -> Tensor:
        """The scores."""
        return part_of(self.brought_network(images), self.part)


def part_of(answer: Any, part: str | int) -> Any:
    """What is called so, as a key, an attribute or a place; None if there is nothing."""
    if isinstance(part, int) or isinstance(answer, Mapping):
        return answer[part] if isinstance(part, int) or part in answer else None
    return getattr(answer, part, None)


def own_path(path: str) -> str:
    """A module's path in the network that was brought."""
    return path.removeprefix("brought_network").removeprefix(".")


def prepared(name: str, network: nn.Module, images: Tensor) -> tuple[nn.Module, list[str]]:
    """The network to trace, and what was done to it, a sentence each.

    Args:
        name: Of it.
        network: In evaluation mode; it is moved and converted.
        images: An example of what it reads.

    Raises:
        UserError: If it cannot be called with images, or gives no scores of them.
    """
    said = _in_fp32(name, network)
    _check_inputs(name, network)
    try:
        with torch.no_grad():
            answer = network(images)
    except Exception as error:  # the user's code may raise anything
        channels, resolution = images.shape[1], written_sides((images.shape[2], images.shape[3]))
        raise UserError(
            f"model '{name}' cannot be called with images of {channels} channels and {resolution} "
            f"px: {type(error).__name__}: {error!s:.300}. Give the --resolution that it was "
            "trained for, and data of its kind."
        ) from error
    if isinstance(answer, Tensor):
        return network, said
    part = _part(name, answer)
    where = f"'{part}'" if isinstance(part, str) else "the one tensor"
    said.append(f"it gives {type(answer).__name__}: {where} of that is taken")
    return Scores(network, part), said


def _in_fp32(name: str, network: nn.Module) -> list[str]:
    """Converts it."""
    tensors = [*network.parameters(), *network.buffers()]
    if not list(network.parameters()):
        raise UserError(
            f"model '{name}' has no weights, so there is nothing to compress. Return the network "
            "itself, with its layers as attributes of the module."
        )
    if any(tensor.is_complex() for tensor in tensors):
        raise UserError(
            f"model '{name}' has complex weights, which formats and runtimes lack. Bring a network "
            "of real numbers."
        )
    if any(tensor.is_meta for tensor in tensors):
        raise UserError(
            f"model '{name}' has weights without values, on torch's device 'meta'. Return it with "
            "its weights."
        )
    floats = {str(t.dtype).removeprefix("torch.") for t in tensors if t.is_floating_point()}
    devices = {tensor.device.type for tensor in tensors}
    network.to("cpu", torch.float32)
    said = [f"its weights are {kind}: taken as float32" for kind in sorted(floats - {"float32"})]
    return said + [f"it is on '{device}': moved" for device in sorted(devices - {"cpu"})]


def _check_inputs(name: str, network: nn.Module) -> None:
    parameters = inspect.signature(network.forward).parameters.values()
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p.name for p in parameters if p.kind in by_place and p.default is p.empty]
    if len(needed) > 1:
        raise UserError(
            f"model '{name}' takes {len(needed)} inputs: {', '.join(needed)}. Bring one that takes "
            "a batch of images alone. Write a function that returns a module which gives it the "
            "others."
        )


def _part(name: str, answer: Any) -> str | int:
    if isinstance(part_of(answer, LOGITS), Tensor):
        return LOGITS
    if isinstance(answer, list | tuple) and len(answer) == 1 and isinstance(answer[0], Tensor):
        return 0
    if isinstance(answer, Mapping):
        inside = ", ".join(map(str, list(answer)[:MOST_NAMED]))
    elif isinstance(answer, list | tuple):
        inside = ", ".join(map(_in_words, answer[:MOST_NAMED]))
    else:
        inside = "no tensor"
    raise UserError(
        f"model '{name}' gives {type(answer).__name__} ({inside}), and not one tensor of scores, a "
        f"row per image. {WRAP}"
    )


def _in_words(part: Any) -> str:
    if isinstance(part, Tensor):
        return f"a tensor of {tuple(part.shape)}"
    return type(part).__name__
