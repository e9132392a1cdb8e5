"""What moves values: reshapes, permutations, parts, concatenations."""

from typing import Any

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
from compress.bring._read import Reading, Value, shape_of
from compress.bring.rules._base import padded, rule


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
        for axis, length in zip(padded(x.axes, len(lengths)), lengths, strict=True)
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
    settings: dict[str, Any] = {"pads": list(pads)}
    if isinstance(mode, str):
        settings |= {"mode": mode, "value": value or 0.0}
    else:
        settings |= {"mode": "constant", "value": float(mode)}
    return reading.emit(node, "pad", [reading.tensor(x)], axes, **settings)
