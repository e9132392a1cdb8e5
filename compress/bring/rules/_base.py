"""What rules have in common: how they are found, and what is done where there is none."""

from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from compress.bring._axes import Atoms, fix, fresh, size, unify
from compress.bring._read import Reading, Value, number_of, path_of

Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}
"""By torch's names of operations."""

SAME = frozenset(
    {
        *("contiguous", "clone", "dropout", "alias", "detach", "to", "_to_copy", "detach_"),
        *("lift_fresh", "lift_fresh_copy"),
    }
)
"""Operations that change nothing in evaluation mode."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Registers what operations of these names do."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


def apply_rule(reading: Reading, node: fx.Node) -> Any:
    """What an operation gives: by its rule, or, if it has none, with all that it touches fixed."""
    namespace, _, rest = str(node.target).partition(".")
    name = rest.partition(".")[0].rstrip("_") if namespace == "aten" else ""
    args, kwargs = reading.value(node.args), reading.value(dict(node.kwargs))
    if name in SAME:
        return args[0]
    found = RULES.get(name)
    if found is not None:
        given = found(reading, node, *args, **kwargs)
        if given is not None:
            return given
    return kept_as_it_is(reading, node, args, kwargs)


def kept_as_it_is(reading: Reading, node: fx.Node, args: Any, kwargs: Any) -> Any:
    """An operation that is carried out by its name in torch; nothing that it reads is pruned."""
    inputs: list[Value] = []

    def stored(argument: Any) -> Any:
        if isinstance(argument, Value):
            for axis in argument.axes:
                fix(axis)
            inputs.append(reading.tensor(argument))
            return {"input": len(inputs) - 1}
        if isinstance(argument, list | tuple):
            return [stored(each) for each in argument]
        if isinstance(argument, torch.device):
            return None  # wherever it is
        if isinstance(argument, torch.dtype | torch.layout):
            return {"torch": str(argument).removeprefix("torch.")}
        return argument

    called = {
        "target": str(node.target),
        "args": stored(args),
        "keywords": {name: stored(value) for name, value in kwargs.items()},
    }
    reading.left_alone.append((str(node.target), path_of(node)))
    outputs = node.meta["val"]
    if not isinstance(outputs, torch.Tensor):
        return [
            reading.emit(node, "call", inputs, _fixed(output), index=i, **called)
            for i, output in enumerate(outputs)
        ]
    return reading.emit(node, "call", inputs, _fixed(outputs), **called)


def _fixed(output: torch.Tensor) -> list[Atoms]:
    return [fresh(number_of(n), is_fixed=True) for n in output.shape]


def pair(value: Any) -> list[int]:
    """A number for each of two sides."""
    found = list(value) if isinstance(value, list | tuple) else [value, value]
    return found * 2 if len(found) == 1 else found


def present(**weights: Value | None) -> dict[str, Value]:
    """Those that are there."""
    return {name: value for name, value in weights.items() if value is not None}


def are_stored(*weights: Value | None) -> bool:
    """Whether these, as far as they are there, are tensors of the network's and not computed."""
    return all(each is None or bool(each.key) for each in weights)


def broadcast(x: Value, y: Value) -> list[Atoms]:
    """The axes of what is made of two tensors, value by value."""
    count = max(len(x.axes), len(y.axes))
    axes: list[Atoms] = []
    for a, b in zip(padded(x.axes, count), padded(y.axes, count), strict=True):
        if size(a) == size(b):
            unify(a, b)
        axes.append(a if size(a) >= size(b) else b)
    return axes


def padded(axes: tuple[Atoms, ...], count: int) -> list[Atoms]:
    """So many axes, the first ones of length 1."""
    return [()] * (count - len(axes)) + list(axes)
