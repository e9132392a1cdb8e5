"""What treats values alike, one by one or along an axis."""

import operator as python
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from compress.bring.onnx._graph import OnnxNode
from compress.bring.onnx.operators._base import operator, refused, scalar, tensor

UNARY: dict[str, tuple[Callable[..., Tensor], Callable[..., Any]]] = {
    "Neg": (torch.neg, np.negative),
    "Abs": (torch.abs, np.abs),
    "Exp": (torch.exp, np.exp),
    "Log": (torch.log, np.log),
    "Sqrt": (torch.sqrt, np.sqrt),
    "Reciprocal": (torch.reciprocal, np.reciprocal),
    "Floor": (torch.floor, np.floor),
    "Ceil": (torch.ceil, np.ceil),
    "Sin": (torch.sin, np.sin),
    "Cos": (torch.cos, np.cos),
    "Sign": (torch.sign, np.sign),
    "Not": (torch.logical_not, np.logical_not),
}


@operator(*UNARY)
def _unary(node: OnnxNode, x: Any) -> Any:
    of_tensor, of_numbers = UNARY[node.op]
    return of_tensor(x) if isinstance(x, Tensor) else np.asarray(of_numbers(x))


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "Relu": functional.relu,
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "Erf": torch.erf,
    "HardSwish": functional.hardswish,
    "Softplus": functional.softplus,
    "Mish": functional.mish,
    "Swish": functional.silu,
}


@operator(*ACTIVATIONS)
def _activation(node: OnnxNode, x: Any) -> Tensor:
    return ACTIVATIONS[node.op](tensor(x))


@operator("Gelu")
def _gelu(node: OnnxNode, x: Tensor) -> Tensor:
    return functional.gelu(x, approximate=node.settings.get("approximate", "none"))


@operator("LeakyRelu")
def _leaky_relu(node: OnnxNode, x: Tensor) -> Tensor:
    return functional.leaky_relu(x, node.settings.get("alpha", 0.01))


@operator("Elu")
def _elu(node: OnnxNode, x: Tensor) -> Tensor:
    return functional.elu(x, node.settings.get("alpha", 1.0))


@operator("PRelu")
def _prelu(node: OnnxNode, x: Tensor, slope: Any) -> Tensor:
    factor = slope if isinstance(slope, Tensor) else _operand(slope)
    return functional.relu(x) - factor * functional.relu(-x)


@operator("HardSigmoid")
def _hard_sigmoid(node: OnnxNode, x: Tensor) -> Tensor:
    alpha, beta = node.settings.get("alpha", 0.2), node.settings.get("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return functional.hardsigmoid(x)
    return (x * alpha + beta).clamp(0.0, 1.0)


@operator("Clip")
def _clip(node: OnnxNode, x: Any, low: Any = None, high: Any = None) -> Any:
    least = scalar(low) if low is not None else node.settings.get("min")
    most = scalar(high) if high is not None else node.settings.get("max")
    if least is None and most is None:
        return x
    if isinstance(x, np.ndarray):
        return np.asarray(np.clip(x, least, most))
    if isinstance(least, Tensor) or isinstance(most, Tensor):
        raise refused(node, "its limits are computed")
    if (least, most) == (0.0, 6.0):
        return functional.relu6(x)
    return functional.relu(x) if (least, most) == (0.0, None) else x.clamp(least, most)


@operator("Softmax", "LogSoftmax")
def _softmax(node: OnnxNode, x: Tensor) -> Tensor:
    function = torch.softmax if node.op == "Softmax" else torch.log_softmax
    return function(x, node.settings.get("axis", -1))


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": python.add,
    "Sub": python.sub,
    "Mul": python.mul,
    "Equal": python.eq,
    "Greater": python.gt,
    "GreaterOrEqual": python.ge,
    "Less": python.lt,
    "LessOrEqual": python.le,
    "And": lambda x, y: x & y,
    "Or": lambda x, y: x | y,
}


@operator(*BINARY)
def _binary(node: OnnxNode, x: Any, y: Any) -> Any:
    return _of_pair(BINARY[node.op], x, y)


@operator("Div")
def _div(node: OnnxNode, x: Any, y: Any) -> Any:
    """Integers are divided to integers, towards 0; sizes that are symbols are not negative."""
    kinds = {value.dtype.kind for value in (x, y) if isinstance(value, np.ndarray)}
    if isinstance(x, Tensor) or isinstance(y, Tensor) or "f" in kinds:
        return _of_pair(python.truediv, x, y)
    if "O" in kinds:
        return np.asarray(x // y)
    return np.abs(x) // np.abs(y) * np.sign(x) * np.sign(y)


@operator("Mod")
def _mod(node: OnnxNode, x: Any, y: Any) -> Any:
    if node.settings.get("fmod"):
        raise refused(node, "its remainder has the sign of what is divided")
    return _of_pair(python.mod, x, y)


@operator("Pow")
def _pow(node: OnnxNode, x: Any, exponent: Any) -> Any:
    return _of_pair(python.pow, x, exponent)


def _of_pair(function: Callable[[Any, Any], Any], x: Any, y: Any) -> Any:
    """Of two tensors, a tensor and a number, or numbers."""
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
        found = np.asarray(function(x, y))
        return found.astype(np.float32) if found.dtype == np.float64 else found
    x, y = (value if isinstance(value, Tensor) else _operand(value) for value in (x, y))
    return function(x, y)


def _operand(value: np.ndarray) -> Any:
    return scalar(value) if value.size == 1 else tensor(value)


@operator("Max", "Min")
def _extreme(node: OnnxNode, *values: Any) -> Any:
    is_max = node.op == "Max"
    if all(isinstance(value, np.ndarray) for value in values):
        return (np.maximum if is_max else np.minimum).reduce(values)
    found = tensor(values[0])
    for value in values[1:]:
        found = (torch.maximum if is_max else torch.minimum)(found, tensor(value))
    return found


@operator("Sum")
def _sum(node: OnnxNode, *values: Tensor) -> Tensor:
    return sum(values[1:], values[0])


@operator("Where")
def _where(node: OnnxNode, condition: Any, x: Any, y: Any) -> Any:
    if all(isinstance(value, np.ndarray) for value in (condition, x, y)):
        return np.where(condition.astype(bool), x, y)
    return torch.where(tensor(condition), tensor(x), tensor(y))


@operator("CumSum")
def _cumsum(node: OnnxNode, x: Tensor, axis: np.ndarray) -> Tensor:
    if node.settings.get("reverse") or node.settings.get("exclusive"):
        raise refused(node, "it is reversed or exclusive")
    return x.cumsum(scalar(axis))
