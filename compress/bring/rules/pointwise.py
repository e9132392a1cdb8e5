"""What treats values alike, one by one or along an axis."""

from typing import Any

from torch import fx

from compress.bring._axes import fix
from compress.bring._read import Reading, Value
from compress.bring.rules._base import RULES, Rule, broadcast, rule

UNARY = (
    *("relu", "relu6", "gelu", "silu", "sigmoid", "tanh", "hardswish", "hardsigmoid", "hardtanh"),
    *(
        "leaky_relu",
        "elu",
        "mish",
        "softplus",
        "abs",
        "neg",
        "exp",
        "sqrt",
        "rsqrt",
        "pow",
        "clamp",
    ),
)
"""Operations that treat every value alike, by torch's names, which nodes have, too."""


def _unary(op: str) -> Rule:
    def apply(reading: Reading, node: fx.Node, x: Value, *args: Any, **kwargs: Any) -> Value | None:
        if any(isinstance(each, Value) for each in (*args, *kwargs.values())):
            return None
        if op == "hardtanh" and list(args) == [0.0, 6.0] and not kwargs:
            return reading.emit(node, "relu6", [reading.tensor(x)], x.axes)
        settings: dict[str, Any] = (
            {"args": list(args), "keywords": kwargs} if args or kwargs else {}
        )
        return reading.emit(node, op, [reading.tensor(x)], x.axes, **settings)

    return apply


RULES.update({name: _unary(name) for name in UNARY})


@rule("add", "sub", "mul", "div", "maximum", "minimum")
def _binary(reading: Reading, node: fx.Node, x: Any, y: Any, **kwargs: Any) -> Value | None:
    op = str(node.target).split(".")[1].rstrip("_")
    if kwargs.get("alpha", 1) != 1 or "rounding_mode" in kwargs:
        return None
    if not isinstance(y, Value):
        return reading.emit(node, f"{op}_number", [reading.tensor(x)], x.axes, number=float(y))
    if not isinstance(x, Value):
        return None
    return reading.emit(node, op, [reading.tensor(x), reading.tensor(y)], broadcast(x, y))


@rule("softmax", "log_softmax")
def _softmax(reading: Reading, node: fx.Node, x: Value, dim: int, *_: Any) -> Value:
    fix(x.axes[dim])
    op = str(node.target).split(".")[1]
    return reading.emit(node, op, [reading.tensor(x)], x.axes, axis=dim % len(x.axes))


@rule("mean", "amax")
def _reduced(
    reading: Reading, node: fx.Node, x: Value, dim: Any = None, keepdim: bool = False, **kwargs: Any
) -> Value | None:
    if dim is None or kwargs:
        return None
    dims = sorted(d % len(x.axes) for d in (dim if isinstance(dim, list) else [dim]))
    for d in dims:
        fix(x.axes[d])
    axes = [() if d in dims else axis for d, axis in enumerate(x.axes) if keepdim or d not in dims]
    op = str(node.target).split(".")[1]
    return reading.emit(node, op, [reading.tensor(x)], axes, dims=dims, keeps=keepdim)
