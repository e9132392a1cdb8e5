"""Pooling and reductions."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from compress.bring.onnx._graph import OnnxNode
from compress.bring.onnx.operators._base import (
    axes_of,
    operator,
    padded,
    padding_of,
    refused,
)


@operator("MaxPool")
def _max_pool(node: OnnxNode, x: Tensor) -> Tensor:
    kernel = list(node.settings["kernel_shape"])
    _refuse_not_2d(node, kernel)
    before, behind = padding_of(node, x, kernel)
    x, padding = padded(x, before, behind, kernel, value=-math.inf)
    return functional.max_pool2d(
        x,
        kernel,
        list(node.settings.get("strides", [1, 1])),
        padding,
        list(node.settings.get("dilations", [1, 1])),
        bool(node.settings.get("ceil_mode", 0)),
    )


@operator("AveragePool")
def _average_pool(node: OnnxNode, x: Tensor) -> Tensor:
    kernel = list(node.settings["kernel_shape"])
    _refuse_not_2d(node, kernel)
    before, behind = padding_of(node, x, kernel)
    counts_padding = bool(node.settings.get("count_include_pad", 0))
    x, padding = padded(x, before, behind, kernel)
    if (padding, padding) != (before, behind) and not counts_padding:
        raise refused(node, "its padding is wide, or differs from side to side, and not counted")
    if set(node.settings.get("dilations", [1])) != {1}:
        raise refused(node, "it has dilations")
    strides = list(node.settings.get("strides", [1, 1]))
    rounds_up = bool(node.settings.get("ceil_mode", 0))
    return functional.avg_pool2d(x, kernel, strides, padding, rounds_up, counts_padding)


@operator("GlobalAveragePool")
def _global_average_pool(node: OnnxNode, x: Tensor) -> Tensor:
    return functional.adaptive_avg_pool2d(x, 1)


@operator("GlobalMaxPool")
def _global_max_pool(node: OnnxNode, x: Tensor) -> Tensor:
    return x.amax((2, 3), keepdim=True)


REDUCTIONS: dict[str, tuple[Callable[..., Tensor], Callable[..., np.ndarray]]] = {
    "ReduceMean": (torch.mean, np.mean),
    "ReduceSum": (torch.sum, np.sum),
    "ReduceMax": (torch.amax, np.max),
    "ReduceMin": (torch.amin, np.min),
    "ReduceProd": (torch.prod, np.prod),
    "ReduceL2": (torch.linalg.vector_norm, np.linalg.norm),
}


@operator(*REDUCTIONS)
def _reduced(node: OnnxNode, x: Any, axes: np.ndarray | None = None) -> Any:
    found = axes_of(node, axes)
    keeps = bool(node.settings.get("keepdims", 1))
    if not found and node.settings.get("noop_with_empty_axes"):
        return x
    of_tensor, of_numbers = REDUCTIONS[node.op]
    if isinstance(x, np.ndarray):
        along = tuple(found) if found else None
        return np.asarray(of_numbers(x, axis=along, keepdims=keeps))
    dims = found or list(range(x.dim()))
    if node.op == "ReduceProd":
        raise refused(node, "it is a product of activations")
    return of_tensor(x, dim=dims, keepdim=keeps)


def _refuse_not_2d(node: OnnxNode, kernel: list[int]) -> None:
    if len(kernel) != 2:
        raise refused(node, f"its kernel has {len(kernel)} axes, not 2")
