"""Sizes of tensors and what is computed from them, as numbers, and what they make."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from compress.bring.onnx._graph import OnnxNode
from compress.bring.onnx.operators._base import ints, numbers, operator, refused, scalar

TYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool"}
"""By ONNX's numbers; reals of any precision are fp32."""

REALS = (10, 11, 16)


@operator("Shape")
def _shape(node: OnnxNode, x: Any) -> np.ndarray:
    start, end = node.settings.get("start", 0), node.settings.get("end")
    return numbers(list(x.shape)[start:end])


@operator("Size")
def _size(node: OnnxNode, x: Any) -> np.ndarray:
    return numbers([math.prod(x.shape)]).reshape(())


@operator("ConstantOfShape")
def _constant_of_shape(node: OnnxNode, shape: np.ndarray) -> Any:
    value = scalar(np.asarray(node.settings.get("value", np.zeros(1, np.float32))))
    lengths = ints(shape)
    if shape.dtype == object:
        return torch.full(lengths, value)
    is_real = isinstance(value, float)
    return np.full(lengths, value, np.float32 if is_real else None)


@operator("Range")
def _range(node: OnnxNode, start: np.ndarray, limit: np.ndarray, step: np.ndarray) -> Any:
    low, high, by = map(scalar, (start, limit, step))
    if limit.dtype == object:
        return torch.arange(low, high, by)
    return np.arange(low, high, by, dtype=start.dtype)


@operator("Cast")
def _cast(node: OnnxNode, x: Any) -> Any:
    number = node.settings["to"]
    name = "float32" if number in REALS else TYPES.get(number)
    if name is None:
        raise refused(node, f"it makes values of type {number}")
    if isinstance(x, Tensor):
        kind = getattr(torch, name)
        return x if x.dtype == kind else x.to(kind)
    return x if x.dtype == object else x.astype(name)


@operator("Identity", "Dropout")
def _identity(node: OnnxNode, x: Any, *_: Any) -> Any:
    return x
