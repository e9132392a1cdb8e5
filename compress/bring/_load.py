"""A network of the user's: the function that makes it, and the weights that it was trained to."""

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from compress.bring._memory import refuse_bomb
from search_spaces import UserError, some_of
from search_spaces._user_files import as_user_error, execute, read_source

EXAMPLE = "my_models.py:resnet"
SAVED = (b"PK", b"\x80")
"""How files begin that `torch.save` writes, now and in early versions: archives and pickles."""

MOST_NAMED = 3
"""Tensors that a message names."""


def load_network(reference: str) -> nn.Module:
    """The network that a function of the user's makes, in evaluation mode. Its code is executed.

    A class is such a function, and what is a network already is taken as it is.

    Args:
        reference: "FILE.py:function" or "package.module:function".

    Raises:
        UserError: If there is no such function, it needs arguments, it fails, or it gives
            something else.
    """
    place, _, name = reference.rpartition(":")
    if not place or not name:
        raise UserError(
            f"model '{reference}' names no function. Give FILE.py:FUNCTION or "
            f"package.module:FUNCTION, such as {EXAMPLE}, or a file that ends with .onnx or .pt2."
        )
    module = _module(place, reference)
    function = _function(module, name, reference)
    if isinstance(function, nn.Module):
        return function.eval()
    if needed := _needed(function):
        raise UserError(
            f"model '{reference}' needs arguments: {', '.join(needed)}. Write a function without "
            "any that calls it."
        )
    with as_user_error(f"model '{reference}'", str(getattr(module, "__file__", "")), "Mend it."):
        network = function()
    if not isinstance(network, nn.Module):
        raise UserError(
            f"model '{reference}' gives {type(network).__name__}, not a torch.nn.Module. Return "
            "the network."
        )
    return network.eval()


def _module(place: str, reference: str) -> Any:
    """The module at a place; what it imports may lie beside it, or in the current folder."""
    file = Path(place)
    folder = str(file.parent.absolute() if place.endswith(".py") else Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)  # at the end: none of ours is hidden
    if not place.endswith(".py"):
        try:
            return importlib.import_module(place)
        except Exception as error:  # the user's code may raise anything
            raise UserError(
                f"model '{reference}': module '{place}' cannot be imported "
                f"({type(error).__name__}: {error}). Install it, or give a file: FILE.py:FUNCTION."
            ) from error
    if not file.is_file():
        raise UserError(f"model '{reference}': there is no file '{file}'.")
    with as_user_error(f"model '{reference}'", place, "Mend the file."):
        return execute(f"brought_{file.stem}", read_source(file), place)


def _needed(function: Callable[..., Any]) -> list[str]:
    """Arguments that must be given; none are known of what is not written in Python."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    many = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in many]


def _function(module: Any, name: str, reference: str) -> Callable[..., Any]:
    found = getattr(module, name, None)
    if callable(found):
        return found  # type: ignore[no-any-return]
    offered = [
        key
        for key, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", "") == module.__name__
    ]
    raise UserError(
        f"model '{reference}': there is no function '{name}'. "
        f"There are: {', '.join(offered) or 'none'}."
    )


def load_weights(network: nn.Module, path: Path) -> None:
    """Gives the network the weights of a file: safetensors, or a state that `torch.save` wrote.

    Names may begin with what all of them begin with, in the file or in the network, because one was
    a part of something larger.

    Raises:
        UserError: If it cannot be read without executing what is in it, or is of another network.
    """
    own = network.state_dict()
    state = _named_like(_state(path), own)
    wrong = [name for name, tensor in state.items() if own.get(name, tensor).shape != tensor.shape]
    missing = [name for name in own if name not in state and not _is_counter(name)]
    unknown = [name for name in state if name not in own]
    for names, fact in (
        (missing, "it lacks"),
        (unknown, "the network has no"),
        (wrong, "of other shapes are"),
    ):
        if names:
            raise UserError(
                f"weights '{path}' are those of another network: {fact} "
                f"{some_of(names, MOST_NAMED)}. Give the weights that this network was trained to."
            )
    network.load_state_dict(state, strict=False)


def _state(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise UserError(f"weights '{path}': there is no such file.")
    refuse_bomb(f"weights '{path}'", path)
    if is_safetensors(path) or path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise UserError(f"weights '{path}' are no safetensors: {error}.") from error
    with path.open("rb") as file:
        if not file.read(2).startswith(SAVED):
            raise UserError(
                f"weights '{path}': this is neither a file of safetensors nor one that torch.save "
                "wrote. Give the file of trained weights."
            )
    try:
        found = _loaded(path)
    except Exception as error:  # torch raises a dozen unrelated classes
        raise UserError(
            f"weights '{path}' cannot be read without executing code that may be in them. Where "
            "you trust them, write the state alone: torch.save(model.state_dict(), FILE), or "
            "safetensors.torch.save_file(model.state_dict(), FILE)."
        ) from error
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in found.items()
    ):
        raise UserError(
            f"weights '{path}' hold {type(found).__name__}, not tensors by name. Save "
            "model.state_dict()."
        )
    return found


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as the format says: the length of a JSON table, and that table."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def _named_like(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The state with names that begin as those of the network do, if nothing else differs."""
    shortest = min(own, key=len, default="")
    for name in state:
        if name.endswith(f".{shortest}"):
            prefix = name.removesuffix(shortest)
            if all(key.startswith(prefix) for key in state):
                return {key.removeprefix(prefix): tensor for key, tensor in state.items()}
    shortest = min(state, key=len, default="")
    for name in own:
        prefix = name.removesuffix(shortest)
        if name.endswith(f".{shortest}") and all(key.startswith(prefix) for key in own):
            return {f"{prefix}{key}": tensor for key, tensor in state.items()}
    return state


def plain_tensors(file: BinaryIO) -> bool:
    """Whether torch can read a file without executing what is in it."""
    try:
        _loaded(file)
    except Exception:  # as above
        return False
    return True


def _loaded(file: Path | BinaryIO) -> Any:
    return torch.load(file, map_location="cpu", weights_only=True)


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")
