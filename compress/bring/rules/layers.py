"""Convolutions, linear layers, norms and pooling."""

from typing import Any

from torch import fx

from compress.bring._axes import Atoms, fix, fresh, regrouped, size, unify
from compress.bring._read import Reading, Value, shape_of
from compress.bring.rules._base import are_stored, pair, present, rule
from search_spaces.traced._fragment import BATCH_NORM, CONV, LAYER_NORM, LINEAR, MULTIPLIER


@rule("conv2d")
def _conv2d(
    reading: Reading,
    node: fx.Node,
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Value | None:
    if not are_stored(weight, bias):
        return None
    channels, out = x.axes[1], size(weight.axes[0])
    made: Atoms = fresh(out)
    own: dict[str, int] = {}
    if groups == 1:
        unify(weight.axes[1], channels)
    elif groups == size(channels):
        made = (*channels, *fresh(out // groups, is_fixed=True))
        own = {MULTIPLIER: out // groups}
    else:
        of_group, per_group = regrouped(channels, [groups, size(channels) // groups])
        fix(of_group)
        unify(weight.axes[1], per_group)
        made = (*of_group, *fresh(out // groups))
    unify(weight.axes[0], made)
    for axis in weight.axes[2:]:
        fix(axis)
    if bias is not None:
        unify(bias.axes[0], made)
    rows, columns = (fresh(n, is_fixed=True) for n in shape_of(node)[2:])
    found = reading.emit(
        node,
        CONV,
        [reading.tensor(x)],
        [x.axes[0], made, rows, columns],
        weights=present(weight=weight, bias=bias),
        kernel_size=[size(axis) for axis in weight.axes[2:]],
        stride=pair(stride),
        padding=padding if isinstance(padding, str) else pair(padding),
        dilation=pair(dilation),
        groups=groups,
        **own,
    )
    _made(reading, made, found)
    return found


@rule("linear")
def _linear(
    reading: Reading, node: fx.Node, x: Value, weight: Value, bias: Value | None = None
) -> Value | None:
    if not are_stored(weight, bias):
        return None
    unify(weight.axes[1], x.axes[-1])
    made = fresh(size(weight.axes[0]))
    unify(weight.axes[0], made)
    if bias is not None:
        unify(bias.axes[0], made)
    found = reading.emit(
        node,
        LINEAR,
        [reading.tensor(x)],
        [*x.axes[:-1], made],
        weights=present(weight=weight, bias=bias),
    )
    _made(reading, made, found)
    return found


def _made(reading: Reading, made: Atoms, found: Value) -> None:
    assert found.node is not None
    reading.made.append((made, found.node))


@rule("batch_norm")
def _batch_norm(
    reading: Reading,
    node: fx.Node,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value,
    variance: Value,
    training: bool,
    momentum: float,
    eps: float,
    *_: Any,
) -> Value | None:
    if mean is None or training or len(x.axes) != 4:
        return None
    if not are_stored(weight, bias, mean, variance):
        return None
    weights = present(weight=weight, bias=bias, running_mean=mean, running_var=variance)
    for each in weights.values():
        unify(each.axes[0], x.axes[1])
    return reading.emit(
        node, BATCH_NORM, [reading.tensor(x)], x.axes, weights=weights, eps=eps, momentum=momentum
    )


@rule("layer_norm")
def _layer_norm(
    reading: Reading,
    node: fx.Node,
    x: Value,
    shape: list[int],
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    *_: Any,
) -> Value | None:
    if not are_stored(weight, bias):
        return None
    weights = present(weight=weight, bias=bias)
    for each in weights.values():
        for own, axis in zip(each.axes, x.axes[-len(shape) :], strict=True):
            unify(own, axis)
    if len(shape) > 1:
        for axis in x.axes[-len(shape) :]:
            fix(axis)
    return reading.emit(
        node, LAYER_NORM, [reading.tensor(x)], x.axes, weights=weights, eps=eps, last=len(shape)
    )


@rule("max_pool2d", "avg_pool2d")
def _pool(
    reading: Reading,
    node: fx.Node,
    x: Value,
    kernel: Any,
    stride: Any = (),
    padding: Any = 0,
    *args: Any,
    **kwargs: Any,
) -> Value:
    op = str(node.target).split(".")[1]
    axes = [*x.axes[:2], *(fresh(n, is_fixed=True) for n in shape_of(node)[2:])]
    more: dict[str, Any] = {"args": list(args), "keywords": kwargs} if args or kwargs else {}
    return reading.emit(
        node,
        op,
        [reading.tensor(x)],
        axes,
        kernel_size=pair(kernel),
        stride=pair(stride or kernel),
        padding=pair(padding),
        **more,
    )


@rule("adaptive_avg_pool2d")
def _adaptive(reading: Reading, node: fx.Node, x: Value, output: list[int]) -> Value:
    axes = [*x.axes[:2], *(fresh(n, is_fixed=True) for n in shape_of(node)[2:])]
    return reading.emit(node, "adaptive_avg_pool2d", [reading.tensor(x)], axes, sizes=list(output))
