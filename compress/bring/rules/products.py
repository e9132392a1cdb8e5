"""Products of activations."""

import torch
from torch import fx

from compress.bring._axes import fix, size, unify
from compress.bring._read import Reading, Value
from compress.bring.rules._base import broadcast, rule
from search_spaces.traced._fragment import ATTENTION, MATMUL

NEVER = -1e9
"""Added to the scores of what a mask leaves out."""


@rule("matmul", "bmm")
def _matmul(reading: Reading, node: fx.Node, x: Value, y: Value) -> Value | None:
    if min(len(x.axes), len(y.axes)) < 2:
        return None
    unify(x.axes[-1], y.axes[-2])
    outer = broadcast(Value(x.axes[:-2]), Value(y.axes[:-2]))
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
    if is_causal or enable_gqa:
        return None
    try:
        mask = None if mask is None else _added(reading, node, mask)
    except LookupError:
        return None
    unify(query.axes[-1], key.axes[-1])
    unify(key.axes[-2], value.axes[-2])
    for of_query, *others in zip(query.axes[:-2], key.axes[:-2], value.axes[:-2], strict=True):
        for other in others:
            unify(of_query, other)
    scale = size(query.axes[-1]) ** -0.5 if scale is None else scale
    if mask is not None:
        return _masked(reading, node, query, key, value, mask, scale)
    inputs = [reading.tensor(each) for each in (query, key, value)]
    axes = [*query.axes[:-1], value.axes[-1]]
    return reading.emit(node, ATTENTION, inputs, axes, scale=scale)


def _added(reading: Reading, node: fx.Node, mask: Value) -> Value | None:
    """What a mask adds to scores: itself, or, of a constant that says which count, a constant.

    Nothing, if all count.

    Raises:
        LookupError: If which count depends on the image.
    """
    if node.args[3].meta["val"].dtype is not torch.bool:  # type: ignore[union-attr]
        return mask
    if not mask.key:
        raise LookupError("a mask that is computed")
    kept = reading.state[mask.key]
    if kept.dtype is torch.bool and kept.all():
        return None
    if kept.dtype is torch.bool:
        reading.state[mask.key] = torch.zeros(kept.shape).masked_fill(~kept, NEVER)
    return mask


def _masked(
    reading: Reading,
    node: fx.Node,
    query: Value,
    key: Value,
    value: Value,
    mask: Value,
    scale: float,
) -> Value:
    """Attention with numbers added to its scores, operation by operation."""
    scaled = reading.emit(node, "mul_number", [reading.tensor(query)], query.axes, number=scale)
    order = [*range(len(key.axes) - 2), len(key.axes) - 1, len(key.axes) - 2]
    turned = [key.axes[d] for d in order]
    keys = reading.emit(node, "permute", [reading.tensor(key)], turned, order=order)
    axes = [*query.axes[:-1], key.axes[-2]]
    scores = reading.emit(node, MATMUL, [scaled, keys], axes)
    added = reading.emit(node, "add", [scores, reading.tensor(mask)], broadcast(scores, mask))
    fix(added.axes[-1])
    last = len(added.axes) - 1
    shares = reading.emit(node, "softmax", [added], added.axes, axis=last)
    out = [*query.axes[:-1], value.axes[-1]]
    return reading.emit(node, MATMUL, [shares, reading.tensor(value)], out)
