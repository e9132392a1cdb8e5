"""What each operation of torch does to axes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from compress.bring._axes import (
    Atoms,
    behind_each_other,
    fix,
    fresh,
    is_batch,
    leaves,
    regrouped,
    size,
    unify,
)
from compress.bring._read import Reading, Value, number_of, path_of, shape_of
from search_spaces.traced._fragment import (
    ATTENTION,
    BATCH_NORM,
    CONV,
    LAYER_NORM,
    LINEAR,
    MATMUL,
)

Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}

UNARY = {
    "relu": "relu",
    "relu6": "relu6",
    "gelu": "gelu",
    "silu": "silu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "hardswish": "hardswish",
    "hardsigmoid": "hardsigmoid",
    "leaky_relu": "leaky_relu",
    "elu": "elu",
    "mish": "mish",
    "softplus": "softplus",
    "hardtanh": "hardtanh",
    "abs": "abs",
    "neg": "neg",
    "exp": "exp",
    "sqrt": "sqrt",
    "rsqrt": "rsqrt",
    "pow": "pow",
    "clamp": "clamp",
}
"""Operations that treat every value alike, by torch's names: those of nodes."""

SAME = frozenset({"contiguous", "clone", "dropout", "alias", "detach", "to", "_to_copy", "detach_"})
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
        if isinstance(argument, torch.dtype | torch.device | torch.layout):
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


def _pair(value: Any) -> list[int]:
    found = list(value) if isinstance(value, list | tuple) else [value, value]
    return found * 2 if len(found) == 1 else found


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
    if not weight.key:
        return None
    channels, out = x.axes[1], size(weight.axes[0])
    made: Atoms = fresh(out)
    if groups == 1:
        unify(weight.axes[1], channels)
    elif groups == size(channels) == out:
        made = channels
    elif groups == size(channels):
        made = (*channels, *fresh(out // groups, is_fixed=True))
    else:
        of_group, *_ = regrouped(channels, [groups, size(channels) // groups])
        fix(of_group)
        _, own = regrouped(channels, [groups, size(channels) // groups])
        unify(weight.axes[1], own)
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
        weights=_present(weight=weight, bias=bias),
        kernel_size=[size(axis) for axis in weight.axes[2:]],
        stride=_pair(stride),
        padding=padding if isinstance(padding, str) else _pair(padding),
        dilation=_pair(dilation),
        groups=groups,
    )
    _made(reading, made, found)
    return found


@rule("linear")
def _linear(
    reading: Reading, node: fx.Node, x: Value, weight: Value, bias: Value | None = None
) -> Value | None:
    if not weight.key:
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
        weights=_present(weight=weight, bias=bias),
    )
    _made(reading, made, found)
    return found


def _made(reading: Reading, made: Atoms, found: Value) -> None:
    assert found.node is not None
    reading.made.append((made, found.node))


def _present(**weights: Value | None) -> dict[str, Value]:
    return {name: value for name, value in weights.items() if value is not None}


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
    if mean is None or training:
        return None
    weights = _present(weight=weight, bias=bias, running_mean=mean, running_var=variance)
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
) -> Value:
    weights = _present(weight=weight, bias=bias)
    for each in weights.values():
        for own, axis in zip(each.axes, x.axes[-len(shape) :], strict=True):
            unify(own, axis)
    if len(shape) > 1:
        for axis in x.axes[-len(shape) :]:
            fix(axis)
    return reading.emit(
        node, LAYER_NORM, [reading.tensor(x)], x.axes, weights=weights, eps=eps, last=len(shape)
    )


def _unary(op: str) -> Rule:
    def apply(reading: Reading, node: fx.Node, x: Value, *args: Any, **kwargs: Any) -> Value | None:
        if any(isinstance(each, Value) for each in (*args, *kwargs.values())):
            return None
        if op == "hardtanh" and list(args) == [0.0, 6.0] and not kwargs:
            return reading.emit(node, "relu6", [reading.tensor(x)], x.axes)
        settings = {"args": list(args), "keywords": kwargs} if args or kwargs else {}
        return reading.emit(node, op, [reading.tensor(x)], x.axes, **settings)

    return apply


for _name, _op in UNARY.items():
    RULES[_name] = _unary(_op)


@rule("add", "sub", "mul", "div", "maximum", "minimum")
def _binary(reading: Reading, node: fx.Node, x: Any, y: Any, **kwargs: Any) -> Value | None:
    op = str(node.target).split(".")[1].rstrip("_")
    if kwargs.get("alpha", 1) != 1 or "rounding_mode" in kwargs:
        return None
    if not isinstance(y, Value):
        return reading.emit(node, f"{op}_number", [reading.tensor(x)], x.axes, number=float(y))
    if not isinstance(x, Value):
        return None
    return reading.emit(node, op, [reading.tensor(x), reading.tensor(y)], _broadcast(x, y))


def _broadcast(x: Value, y: Value) -> list[Atoms]:
    """The axes of what is made of two tensors, value by value."""
    count = max(len(x.axes), len(y.axes))
    axes: list[Atoms] = []
    for a, b in zip(_padded(x.axes, count), _padded(y.axes, count), strict=True):
        if size(a) == size(b):
            unify(a, b)
        axes.append(a if size(a) >= size(b) else b)
    return axes


def _padded(axes: tuple[Atoms, ...], count: int) -> list[Atoms]:
    return [()] * (count - len(axes)) + list(axes)


@rule("matmul", "bmm")
def _matmul(reading: Reading, node: fx.Node, x: Value, y: Value) -> Value | None:
    if min(len(x.axes), len(y.axes)) < 2:
        return None
    unify(x.axes[-1], y.axes[-2])
    outer = _broadcast(Value(x.axes[:-2]), Value(y.axes[:-2]))
    axes = [*outer, x.axes[-2], y.axes[-1]]
    return reading.emit(node, MATMUL, [reading.tensor(x), reading.tensor(y)], axes)


@rule("scaled_dot_product_attention")
def _attention(
    reading: Reading,
    node: fx.Node,
    query: Value,
    key: Value,
    value: Value,
    mask: Value | None = None,
    dropout: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value | None:
    if mask is not None or is_causal or enable_gqa:
        return None
    unify(query.axes[-1], key.axes[-1])
    unify(key.axes[-2], value.axes[-2])
    for axes in zip(query.axes[:-2], key.axes[:-2], value.axes[:-2], strict=True):
        unify(axes[0], axes[1])
        unify(axes[0], axes[2])
    scale = size(query.axes[-1]) ** -0.5 if scale is None else scale
    inputs = [reading.tensor(each) for each in (query, key, value)]
    axes = [*query.axes[:-1], value.axes[-1]]
    return reading.emit(node, ATTENTION, inputs, axes, scale=scale)


@rule("softmax", "log_softmax")
def _softmax(reading: Reading, node: fx.Node, x: Value, dim: int, *_: Any) -> Value:
    fix(x.axes[dim])
    op = str(node.target).split(".")[1]
    return reading.emit(node, op, [reading.tensor(x)], x.axes, axis=dim % len(x.axes))


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
    more = {"args": list(args), "keywords": kwargs} if args or kwargs else {}
    return reading.emit(
        node,
        op,
        [reading.tensor(x)],
        axes,
        kernel_size=_pair(kernel),
        stride=_pair(stride or kernel),
        padding=_pair(padding),
        **more,
    )


@rule("adaptive_avg_pool2d")
def _adaptive(reading: Reading, node: fx.Node, x: Value, output: list[int]) -> Value:
    axes = [*x.axes[:2], *(fresh(n, is_fixed=True) for n in shape_of(node)[2:])]
    return reading.emit(node, "adaptive_avg_pool2d", [reading.tensor(x)], axes, sizes=list(output))


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


@rule("view", "reshape", "flatten", "unflatten", "unsqueeze", "squeeze", "_unsafe_view")
def _reshape(reading: Reading, node: fx.Node, x: Value, *_: Any) -> Value:
    axes = regrouped([atom for axis in x.axes for atom in axis], shape_of(node))
    return reading.emit(node, "reshape", [reading.tensor(x)], axes)


@rule("permute", "transpose", "t", "swapaxes")
def _permute(reading: Reading, node: fx.Node, x: Value, *args: Any) -> Value:
    order = list(range(len(x.axes)))
    if len(args) == 2:
        a, b = (d % len(order) for d in args)
        order[a], order[b] = b, a
    elif args:
        order = [d % len(order) for d in args[0]]
    else:
        order.reverse()
    return reading.emit(
        node, "permute", [reading.tensor(x)], [x.axes[d] for d in order], order=order
    )


@rule("cat", "concat")
def _cat(reading: Reading, node: fx.Node, values: list[Value], dim: int = 0) -> Value:
    dim %= len(values[0].axes)
    first = values[0]
    for other in values[1:]:
        for d, (a, b) in enumerate(zip(first.axes, other.axes, strict=True)):
            if d != dim:
                unify(a, b)
    axes = list(first.axes)
    axes[dim] = behind_each_other([value.axes[dim] for value in values])
    return reading.emit(node, "cat", [reading.tensor(v) for v in values], axes, axis=dim)


@rule("unbind")
def _unbind(reading: Reading, node: fx.Node, x: Value, dim: int = 0) -> list[Value]:
    dim %= len(x.axes)
    return [_selected(reading, node, x, dim, i) for i in range(size(x.axes[dim]))]


@rule("select")
def _select(reading: Reading, node: fx.Node, x: Value, dim: int, index: int) -> Value:
    dim %= len(x.axes)
    return _selected(reading, node, x, dim, index % size(x.axes[dim]))


def _selected(reading: Reading, node: fx.Node, x: Value, dim: int, index: int) -> Value:
    fix(x.axes[dim])
    axes = [axis for d, axis in enumerate(x.axes) if d != dim]
    return reading.emit(node, "select", [reading.tensor(x)], axes, axis=dim, index=index)


@rule("chunk", "split", "split_with_sizes")
def _parts(reading: Reading, node: fx.Node, x: Value, _: Any, dim: int = 0) -> list[Value]:
    dim %= len(x.axes)
    lengths = [int(output.shape[dim]) for output in node.meta["val"]]
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    pairs = zip(starts, lengths, strict=True)
    return [_narrowed(reading, node, x, dim, start, length) for start, length in pairs]


@rule("slice", "narrow")
def _slice(
    reading: Reading,
    node: fx.Node,
    x: Value,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Value | None:
    dim %= len(x.axes)
    whole = size(x.axes[dim])
    length = shape_of(node)[dim]
    if step != 1:
        return None
    start = 0 if start is None else start + whole if start < 0 else min(start, whole)
    return x if length == whole else _narrowed(reading, node, x, dim, start, length)


def _narrowed(
    reading: Reading, node: fx.Node, x: Value, dim: int, start: int, length: int
) -> Value:
    """A part of an axis: one of several equal ones if it can be, else of an axis that is fixed."""
    axis, whole = x.axes[dim], size(x.axes[dim])
    part: Atoms = fresh(length, is_fixed=True)
    first = next(iter(leaves(axis)), None)
    if whole % length == 0 and start % length == 0 and first is not None and not first.addends:
        number, part = regrouped(axis, [whole // length, length])
        fix(number)
    else:
        fix(axis)
    axes = [part if d == dim else each for d, each in enumerate(x.axes)]
    return reading.emit(
        node,
        "narrow",
        [reading.tensor(x)],
        axes,
        axis=dim,
        place=start // length if start % length == 0 else 0,
        start=start,
    )


@rule("expand")
def _expand(reading: Reading, node: fx.Node, x: Value, *_: Any) -> Value:
    lengths = shape_of(node)
    axes = [
        axis if size(axis) == length else fresh(length, is_fixed=True)
        for axis, length in zip(_padded(x.axes, len(lengths)), lengths, strict=True)
    ]
    inputs = [reading.tensor(x)]
    if not any(map(is_batch, x.axes)) and any(map(is_batch, axes)):
        inputs.append(reading.last_of_batch)  # which says how many images there are
    return reading.emit(node, "expand", inputs, axes)


@rule("roll")
def _roll(reading: Reading, node: fx.Node, x: Value, shifts: list[int], dims: list[int]) -> Value:
    dims = [d % len(x.axes) for d in dims]
    for d in dims:
        fix(x.axes[d])
    return reading.emit(node, "roll", [reading.tensor(x)], x.axes, shifts=list(shifts), dims=dims)


@rule("index")
def _index(reading: Reading, node: fx.Node, x: Value, indices: list[Value | None]) -> Value | None:
    if len(indices) != 1 or indices[0] is None:
        return None
    for axis in (x.axes[0], *indices[0].axes):
        fix(axis)
    axes = [*indices[0].axes, *x.axes[1:]]
    return reading.emit(node, "take", [reading.tensor(x), reading.tensor(indices[0])], axes)


@rule("pad", "constant_pad_nd")
def _pad(
    reading: Reading,
    node: fx.Node,
    x: Value,
    pads: list[int],
    mode: Any = "constant",
    value: float | None = None,
) -> Value:
    lengths = shape_of(node)
    axes = [
        axis if size(axis) == length else fresh(length, is_fixed=True)
        for axis, length in zip(x.axes, lengths, strict=True)
    ]
    for axis, length in zip(x.axes, lengths, strict=True):
        if size(axis) != length:
            fix(axis)
    settings = {"pads": list(pads)}
    if isinstance(mode, str):
        settings |= {"mode": mode, "value": value or 0.0}
    else:
        settings |= {"mode": "constant", "value": float(mode)}
    return reading.emit(node, "pad", [reading.tensor(x)], axes, **settings)
