"""What operators have in common: how they are found, and numbers beside tensors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from compress.bring.onnx._graph import OnnxNode
from search_spaces import UserError

Operator = Callable[..., Any]
OPERATORS: dict[str, Operator] = {}
"""By ONNX's names."""


def operator(*names: str) -> Callable[[Operator], Operator]:
    """Registers what operators of these names do."""

    def register(function: Operator) -> Operator:
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return register


def refused(node: OnnxNode, fact: str) -> UserError:
    """The error of a node whose settings cannot be rebuilt."""
    return UserError(
        f"ONNX operator {node.op} (node '{node.name or node.outputs[0]}') cannot be rebuilt: "
        f"{fact}. Bring the network as FILE.py:FUNCTION, or export it without this."
    )


def numbers(values: Any) -> np.ndarray:
    """An array of sizes, some of which may be symbols."""
    made = np.empty(len(values), object)
    made[:] = list(values)
    return plain(made)


def plain(value: Any) -> Any:
    """An array of objects as one of integers, if none is a symbol; all else as it is."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        found = value.ravel().tolist()
        if all(isinstance(each, int) for each in found):
            return value.astype(np.int64)
    return value


def tensor(value: Tensor | np.ndarray) -> Tensor:
    """Numbers as a tensor."""
    if isinstance(value, Tensor):
        return value
    if value.dtype == object:  # sizes that are symbols
        return torch.stack([torch.scalar_tensor(n, dtype=torch.int64) for n in value.ravel()])
    return torch.tensor(value)


def scalar(value: Any) -> Any:
    """One number as Python has it; all else as it is."""
    if not isinstance(value, np.ndarray) or value.size != 1:
        return value
    found = value.ravel()[0]
    return found.item() if isinstance(found, np.generic) else found


def ints(value: Any) -> list[Any]:
    """A list of Python's integers, or of symbols."""
    found = value.ravel() if isinstance(value, np.ndarray) else value
    return [n.item() if isinstance(n, np.generic) else n for n in found]


def axes_of(node: OnnxNode, given: np.ndarray | None) -> list[int] | None:
    """Axes, which older operators have as a setting and newer ones read."""
    if given is not None:
        return ints(given)
    return list(node.settings["axes"]) if "axes" in node.settings else None


def padding_of(node: OnnxNode, x: Tensor, kernel: list[int]) -> tuple[list[int], list[int]]:
    """What is put before and behind every axis of space.

    Args:
        node: A convolution or pooling.
        x: What it reads, (B, C, ...).
        kernel: Its size along every axis.
    """
    count = len(kernel)
    mode = node.settings.get("auto_pad", "NOTSET")
    if mode == "VALID":
        return [0] * count, [0] * count
    if mode == "NOTSET":
        pads = list(node.settings.get("pads", [0] * 2 * count))
        return pads[:count], pads[count:]
    strides = node.settings.get("strides", [1] * count)
    dilations = node.settings.get("dilations", [1] * count)
    before, behind = [], []
    for length, size, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True):
        wanted = (-(-length // stride) - 1) * stride + (size - 1) * dilation + 1
        both = max(wanted - length, 0)
        small, large = both // 2, both - both // 2
        before.append(small if mode == "SAME_UPPER" else large)
        behind.append(large if mode == "SAME_UPPER" else small)
    return before, behind


def padded(
    x: Tensor, before: list[int], behind: list[int], kernel: list[int], value: float = 0.0
) -> tuple[Tensor, list[int]]:
    """A tensor with the padding that torch's own functions do not do, and what is left to do.

    Args:
        x: (B, C, ...).
        before: What is put before every axis of space.
        behind: What is put behind.
        kernel: Of a pooling, which torch pads by half of it at most; empty for convolutions.
        value: Of the padding.
    """
    is_narrow = all(2 * n <= size for n, size in zip(before, kernel, strict=False))
    if before == behind and is_narrow:
        return x, before
    pads = [n for pair in zip(reversed(before), reversed(behind), strict=True) for n in pair]
    return functional.pad(x, pads, value=value), [0] * len(before)
