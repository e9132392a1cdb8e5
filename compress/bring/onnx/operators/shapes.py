"""What moves values: reshapes, permutations, parts, concatenations."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from compress.bring.onnx._graph import OnnxNode
from compress.bring.onnx.operators._base import axes_of, ints, operator, refused, scalar, tensor

END = 2**31 - 1
"""Beyond the end of every axis."""

ROLL = "Roll"
"""Ours: parts of an axis change places, of which files write two slices and a concatenation."""

BORDERS = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


@operator("Reshape")
def _reshape(node: OnnxNode, x: Any, target: np.ndarray) -> Any:
    keeps_zeros = bool(node.settings.get("allowzero", 0))
    lengths = [x.shape[i] if n == 0 and not keeps_zeros else n for i, n in enumerate(ints(target))]
    return x.reshape(lengths)


@operator("Flatten")
def _flatten(node: OnnxNode, x: Tensor) -> Tensor:
    axis = node.settings.get("axis", 1)
    if axis == 1:
        return torch.flatten(x, 1)
    return x.reshape(math.prod(x.shape[:axis]), -1)


@operator("Squeeze")
def _squeeze(node: OnnxNode, x: Any, given: np.ndarray | None = None) -> Any:
    axes = axes_of(node, given)
    if axes is None:
        axes = [axis for axis, length in enumerate(x.shape) if length == 1]
    gone = {axis % len(x.shape) for axis in axes}
    return x.reshape([length for axis, length in enumerate(x.shape) if axis not in gone])


@operator("Unsqueeze")
def _unsqueeze(node: OnnxNode, x: Any, given: np.ndarray | None = None) -> Any:
    axes = axes_of(node, given) or []
    count = len(x.shape) + len(axes)
    for axis in sorted(axis % count for axis in axes):
        x = x.unsqueeze(axis) if isinstance(x, Tensor) else np.expand_dims(x, axis)
    return x


@operator("Transpose")
def _transpose(node: OnnxNode, x: Any) -> Any:
    order = node.settings.get("perm") or list(range(len(x.shape)))[::-1]
    return x.permute(order) if isinstance(x, Tensor) else np.transpose(x, order)


@operator("Concat")
def _concat(node: OnnxNode, *values: Any) -> Any:
    axis = node.settings["axis"]
    if any(isinstance(value, Tensor) for value in values):
        return torch.cat([tensor(value) for value in values], axis)
    return np.concatenate(values, axis)


@operator(ROLL)
def _roll(node: OnnxNode, x: Tensor) -> Tensor:
    axis, end = node.settings["axis"], node.settings["end"]
    if end < x.shape[axis]:
        x = x.narrow(axis, 0, end)
    return torch.roll(x, [node.settings["shift"]], [axis])


@operator("Expand")
def _expand(node: OnnxNode, x: Any, shape: np.ndarray) -> Any:
    lengths = ints(shape)
    if isinstance(x, np.ndarray) and shape.dtype != object:
        return np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(lengths)))
    x = tensor(x)
    x = x.reshape([1] * max(0, len(lengths) - x.dim()) + list(x.shape))
    lengths = [1] * (x.dim() - len(lengths)) + lengths
    return x.expand([-1 if length == 1 else length for length in lengths])


@operator("Tile")
def _tile(node: OnnxNode, x: Any, repeats: np.ndarray) -> Any:
    times = ints(repeats)
    if all(isinstance(n, int) and n == 1 for n in times):
        return x
    return x.repeat(times) if isinstance(x, Tensor) else np.tile(x, times)


@operator("Split")
def _split(node: OnnxNode, x: Any, given: np.ndarray | None = None) -> Any:
    axis = node.settings.get("axis", 0)
    sizes = ints(given) if given is not None else node.settings.get("split")
    if sizes is None:
        count = node.settings.get("num_outputs", len(node.outputs))
        each = -(-x.shape[axis] // count)
        sizes = [min(each, x.shape[axis] - i * each) for i in range(count)]
    if isinstance(x, Tensor):
        return list(x.split(list(sizes), axis))
    return np.split(x, np.cumsum(sizes)[:-1], axis)


@operator("Slice")
def _slice(
    node: OnnxNode,
    x: Any,
    starts: np.ndarray | None = None,
    ends: np.ndarray | None = None,
    axes: np.ndarray | None = None,
    steps: np.ndarray | None = None,
) -> Any:
    first = ints(node.settings["starts"] if starts is None else starts)
    last = ints(node.settings["ends"] if ends is None else ends)
    along = axes_of(node, axes) or list(range(len(first)))
    by = ints(steps) if steps is not None else [1] * len(first)
    for start, end, axis, step in zip(first, last, along, by, strict=True):
        if isinstance(x, np.ndarray):
            whole: list[Any] = [slice(None)] * x.ndim
            whole[axis] = slice(start, None if step < 0 and end < -END else end, step)
            x = x[tuple(whole)]
        elif step < 0:
            raise refused(node, "it goes backwards")
        elif not (isinstance(end, int) and start == 0 and end >= END and step == 1):
            x = _part(x, axis % x.dim(), start, min(end, END), step)
    return x


def _part(x: Tensor, axis: int, start: Any, end: Any, step: int) -> Tensor:
    before = (slice(None),) * axis
    if step == 1 and all(isinstance(n, int) for n in (start, end, x.shape[axis])):
        low, high, _ = slice(start, end).indices(int(x.shape[axis]))
        return x if high - low == x.shape[axis] else x.narrow(axis, low, high - low)
    return x[(*before, slice(start, end, step))]


@operator("Gather")
def _gather(node: OnnxNode, x: Any, index: Any) -> Any:
    axis = node.settings.get("axis", 0)
    if isinstance(x, np.ndarray) and isinstance(index, np.ndarray):
        return np.asarray(np.take(x, index, axis))
    x = tensor(x)
    axis %= x.dim()
    if isinstance(index, np.ndarray) and index.ndim == 0:
        return x.select(axis, int(scalar(index)) % int(x.shape[axis]))
    return x[(slice(None),) * axis + (tensor(index),)]


@operator("Pad")
def _pad(
    node: OnnxNode,
    x: Any,
    pads: np.ndarray | None = None,
    value: np.ndarray | None = None,
    axes: np.ndarray | None = None,
) -> Any:
    sides = ints(node.settings["pads"] if pads is None else pads)
    count = len(sides) // 2
    if isinstance(x, np.ndarray):
        raise refused(node, "it pads numbers")
    along = [axis % x.dim() for axis in axes_of(node, axes) or range(count)]
    before, behind = [0] * x.dim(), [0] * x.dim()
    for i, axis in enumerate(along):
        before[axis], behind[axis] = sides[i], sides[count + i]
    mode = BORDERS[node.settings.get("mode", "constant")]
    found = [n for axis in reversed(range(x.dim())) for n in (before[axis], behind[axis])]
    while found and found[-2:] == [0, 0]:
        found = found[:-2]
    if not found:
        return x
    filled = scalar(value) if value is not None else node.settings.get("value", 0.0)
    return functional.pad(x, found, mode, filled if mode == "constant" else None)


@operator("DepthToSpace")
def _depth_to_space(node: OnnxNode, x: Tensor) -> Tensor:
    side = node.settings["blocksize"]
    if node.settings.get("mode", "DCR") == "CRD":
        return functional.pixel_shuffle(x, side)
    b, c, h, w = x.shape
    x = x.reshape(b, side, side, c // side**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(b, c // side**2, h * side, w * side)


@operator("SpaceToDepth")
def _space_to_depth(node: OnnxNode, x: Tensor) -> Tensor:
    side = node.settings["blocksize"]
    if node.settings.get("mode", "DCR") == "CRD":
        return functional.pixel_unshuffle(x, side)
    b, c, h, w = x.shape
    x = x.reshape(b, c, h // side, side, w // side, side).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(b, c * side**2, h // side, w // side)
