"""A module for every operation of a fragment.

Modules take and give tensors as the node says; sizes that pruning changes follow from its axes.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces import FULL_RANK
from search_spaces.traced._axes import BATCH, Axis, length
from search_spaces.traced._fragment import (
    ATTENTION,
    BATCH_NORM,
    CONSTANT,
    CONV,
    LAYER_NORM,
    LINEAR,
    MATMUL,
    MULTIPLIER,
    TENSOR,
    UPDATE,
    Node,
    rank_in,
)
from supernets._modules import Add, Scale
from supernets.traced._factors import two_layers
from supernets.traced._updated import UpdatedConv2d, UpdatedLinear

Sizes = Mapping[str, int]


class Function(nn.Module):
    """An operation without weights; it is pickled as its node."""

    def __init__(self, node: Node, sizes: Sizes) -> None:
        super().__init__()
        self.node, self.sizes = node, dict(sizes)
        self._function = _made(node, self.sizes)

    def forward(self, *tensors: Tensor) -> Tensor:
        """What the operation makes of its tensors."""
        return self._function(*tensors)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_function": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._function = _made(self.node, self.sizes)


class Held(nn.Module):
    """A parameter or constant of the network."""

    def __init__(self, name: str, tensor: Tensor, *, is_trained: bool) -> None:
        super().__init__()
        self.name = name
        if is_trained:
            self.register_parameter(name, nn.Parameter(tensor))
        else:
            self.register_buffer(name, tensor)

    def forward(self) -> Tensor:
        """It."""
        found: Tensor = getattr(self, self.name)
        return found


def module_of(node: Node, sizes: Sizes, rank: str = FULL_RANK) -> nn.Module:
    """The module that carries out a node.

    Args:
        node: Which.
        sizes: Members that remain of every group.
        rank: Of layers.
    """
    make = MODULES.get(node.op)
    module = make(node, sizes) if make is not None else Function(node, sizes)
    inner = rank_in(node, sizes, rank)
    return module if inner is None else two_layers(module, inner)


def _made(node: Node, sizes: Sizes) -> Callable[..., Tensor]:
    if node.op not in FUNCTIONS:
        raise ValueError(f"'{node.op}' is no operation of a traced network")
    return FUNCTIONS[node.op](node, sizes)


def shape(axes: tuple[Axis, ...], sizes: Sizes) -> list[int]:
    """Lengths of axes; -1 for the one that has the images of a batch."""
    return [-1 if BATCH in axis else length(axis, sizes) for axis in axes]


def _conv(node: Node, sizes: Sizes) -> nn.Module:
    width, per_group, *_ = shape(node.weights["weight"], sizes)
    if UPDATE in node.settings:
        return UpdatedConv2d(per_group, width, node.settings[UPDATE])
    groups = node.settings["groups"]
    if MULTIPLIER in node.settings:  # a group per channel, of which some may have gone
        groups = width // node.settings[MULTIPLIER]
    return nn.Conv2d(
        per_group * groups,
        width,
        tuple(node.settings["kernel_size"]),
        tuple(node.settings["stride"]),
        _padding(node.settings["padding"]),
        tuple(node.settings["dilation"]),
        groups,
        bias="bias" in node.weights,
    )


def _padding(padding: Any) -> Any:
    return padding if isinstance(padding, str) else tuple(padding)


def _linear(node: Node, sizes: Sizes) -> nn.Module:
    width, in_width = shape(node.weights["weight"], sizes)
    if UPDATE in node.settings:
        return UpdatedLinear(in_width, width, node.settings[UPDATE])
    return nn.Linear(in_width, width, bias="bias" in node.weights)


def _batch_norm(node: Node, sizes: Sizes) -> nn.Module:
    (width,) = shape(node.weights["running_mean"], sizes)
    return nn.BatchNorm2d(width, node.settings["eps"], affine="weight" in node.weights)


def _layer_norm(node: Node, sizes: Sizes) -> nn.Module:
    lengths = shape(node.axes, sizes)[-node.settings["last"] :]
    has_weight, has_bias = "weight" in node.weights, "bias" in node.weights
    return nn.LayerNorm(lengths, node.settings["eps"], elementwise_affine=has_weight, bias=has_bias)


def _tensor(node: Node, sizes: Sizes) -> nn.Module:
    ((name, axes),) = node.weights.items()
    dtype = getattr(torch, node.settings.get("dtype", "float32"))
    held = torch.zeros(shape(axes, sizes), dtype=dtype)
    return Held(name, held, is_trained=name != CONSTANT)


def _reshape(node: Node, sizes: Sizes) -> Callable[..., Tensor]:
    lengths = shape(node.axes, sizes)
    return lambda x: x.reshape(lengths)


def _expand(node: Node, sizes: Sizes) -> Callable[..., Tensor]:
    lengths = shape(node.axes, sizes)
    images = lengths.index(-1) if len(node.inputs) > 1 else None

    def expand(x: Tensor, *batch: Tensor) -> Tensor:
        if images is None:
            return x.expand(lengths)
        return x.expand([*lengths[:images], batch[0].shape[0], *lengths[images + 1 :]])

    return expand


def _permute(node: Node, sizes: Sizes) -> Callable[..., Tensor]:
    order = node.settings["order"]
    return lambda x: x.permute(order)


def _cat(node: Node, sizes: Sizes) -> Callable[..., Tensor]:
    return lambda *tensors: torch.cat(tensors, node.settings["axis"])


def _select(node: Node, sizes: Sizes) -> Callable[..., Tensor]:
    return lambda x: x.select(node.settings["axis"], node.settings["index"])


def _narrow(node: Node, sizes: Sizes) -> Callable[..., Tensor]:
    axis = node.settings["axis"]
    size = length(node.axes[axis], sizes)
    place = node.settings["place"]
    start = place * size if place else node.settings["start"]
    return lambda x: x.narrow(axis, start, size)


def _take(node: Node, sizes: Sizes) -> Callable[..., Tensor]:
    return lambda x, index: x[index]


def _matmul(node: Node, sizes: Sizes) -> Callable[..., Tensor]:
    return lambda x, y: x @ y


def _attention(node: Node, sizes: Sizes) -> Callable[..., Tensor]:
    scale = node.settings["scale"]

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        scores = (query @ key.transpose(-2, -1)) * scale
        return scores.softmax(-1) @ value

    return attend


def _softmax(node: Node, sizes: Sizes) -> Callable[..., Tensor]:
    return lambda x: getattr(x, node.op)(node.settings["axis"])


def _pool(node: Node, sizes: Sizes) -> nn.Module:
    cls: Any = {"max_pool2d": nn.MaxPool2d, "avg_pool2d": nn.AvgPool2d}[node.op]
    three = (tuple(node.settings[name]) for name in ("kernel_size", "stride", "padding"))
    args = node.settings.get("args", ())
    pool: nn.Module = cls(*three, *args, **node.settings.get("keywords", {}))
    return pool


def _adaptive(node: Node, sizes: Sizes) -> nn.Module:
    return nn.AdaptiveAvgPool2d(tuple(node.settings["sizes"]))


def _reduced(node: Node, sizes: Sizes) -> Callable[..., Tensor]:
    axes, keeps = node.settings["dims"], node.settings["keeps"]
    return lambda x: getattr(x, node.op)(axes, keepdim=keeps)


def _roll(node: Node, sizes: Sizes) -> Callable[..., Tensor]:
    return lambda x: torch.roll(x, node.settings["shifts"], node.settings["dims"])


def _pad(node: Node, sizes: Sizes) -> Callable[..., Tensor]:
    pads, mode, value = (node.settings[name] for name in ("pads", "mode", "value"))
    return lambda x: functional.pad(x, pads, mode, value if mode == "constant" else None)


def _with_number(function: Callable[[Tensor, float], Tensor]) -> "FunctionMaker":
    def make(node: Node, sizes: Sizes) -> Callable[..., Tensor]:
        number = node.settings["number"]
        return lambda x: function(x, number)

    return make


def _pair(function: Callable[[Tensor, Tensor], Tensor]) -> "FunctionMaker":
    return lambda node, sizes: function


def _named(node: Node, sizes: Sizes) -> Callable[..., Tensor]:
    """One of torch's functions of that name."""
    args, keywords = node.settings.get("args", ()), node.settings.get("keywords", {})
    function = getattr(torch, node.op)
    return lambda x: function(x, *args, **keywords)


def _call(node: Node, sizes: Sizes) -> Callable[..., Tensor]:
    """An operation of torch by its full name, such as "aten.cumsum.default".

    Raises:
        ValueError: If it is none that makes a tensor of tensors: files name operations, and some
            of torch's open files.
    """
    target = str(node.settings["target"])
    namespace, name, overload = target.split(".")
    packet = getattr(torch.ops.aten, name, None) if namespace == "aten" else None
    function = getattr(packet, overload, None)
    given: list[Any] = [] if function is None else list(function._schema.arguments)
    takes_tensors = bool(given) and str(given[0].type).startswith(("Tensor", "List[Tensor"))
    if not takes_tensors and name not in FACTORIES:
        raise ValueError(f"'{target}' is no operation on tensors")
    assert function is not None
    index = node.settings.get("index")

    def call(*tensors: Tensor) -> Tensor:
        args = _given(node.settings["args"], tensors)
        found = function(*args, **_given(node.settings["keywords"], tensors))
        output: Tensor = found if index is None else found[index]
        return output

    return call


def _given(stored: Any, tensors: tuple[Tensor, ...]) -> Any:
    if isinstance(stored, list):
        return [_given(each, tensors) for each in stored]
    if isinstance(stored, dict):
        if stored.keys() == {"input"}:
            return tensors[stored["input"]]
        if stored.keys() == {"torch"}:
            return getattr(torch, stored["torch"])
        return {name: _given(each, tensors) for name, each in stored.items()}
    return stored


def _activation(cls: type[nn.Module]) -> "Maker":
    def make(node: Node, sizes: Sizes) -> nn.Module:
        return cls(*node.settings.get("args", ()), **node.settings.get("keywords", {}))

    return make


Maker = Callable[[Node, Sizes], nn.Module]
FunctionMaker = Callable[[Node, Sizes], Callable[..., Tensor]]

MODULES: Mapping[str, Maker] = {
    CONV: _conv,
    LINEAR: _linear,
    BATCH_NORM: _batch_norm,
    LAYER_NORM: _layer_norm,
    TENSOR: _tensor,
    "max_pool2d": _pool,
    "avg_pool2d": _pool,
    "adaptive_avg_pool2d": _adaptive,
    "add": lambda node, sizes: Add(),
    "mul": lambda node, sizes: Scale(),
    "relu": _activation(nn.ReLU),
    "relu6": _activation(nn.ReLU6),
    "gelu": _activation(nn.GELU),
    "silu": _activation(nn.SiLU),
    "hardswish": _activation(nn.Hardswish),
    "hardsigmoid": _activation(nn.Hardsigmoid),
    "sigmoid": _activation(nn.Sigmoid),
    "tanh": _activation(nn.Tanh),
    "hardtanh": _activation(nn.Hardtanh),
    "leaky_relu": _activation(nn.LeakyReLU),
    "elu": _activation(nn.ELU),
    "mish": _activation(nn.Mish),
    "softplus": _activation(nn.Softplus),
}
"""Operations that are modules of torch's: those with weights, and those that quantization knows."""

FUNCTIONS: Mapping[str, FunctionMaker] = {
    MATMUL: _matmul,
    ATTENTION: _attention,
    "reshape": _reshape,
    "expand": _expand,
    "permute": _permute,
    "cat": _cat,
    "select": _select,
    "narrow": _narrow,
    "take": _take,
    "softmax": _softmax,
    "log_softmax": _softmax,
    "mean": _reduced,
    "amax": _reduced,
    "roll": _roll,
    "pad": _pad,
    "call": _call,
    "sub": _pair(torch.sub),
    "div": _pair(torch.div),
    "maximum": _pair(torch.maximum),
    "minimum": _pair(torch.minimum),
    "add_number": _with_number(lambda x, number: x + number),
    "sub_number": _with_number(lambda x, number: x - number),
    "mul_number": _with_number(lambda x, number: x * number),
    "div_number": _with_number(lambda x, number: x / number),
    **dict.fromkeys(("abs", "neg", "exp", "sqrt", "rsqrt", "pow", "clamp"), _named),
}
"""All others."""

FACTORIES = frozenset({"arange", "zeros", "ones", "full", "eye", "linspace", "scalar_tensor"})
"""Operations that make a tensor of numbers alone."""
