"""Products of activations."""

from torch import fx

from compress.bring._axes import size, unify
from compress.bring._read import Reading, Value
from compress.bring.rules._base import broadcast, rule
from search_spaces.traced._fragment import ATTENTION, MATMUL


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
    if mask is not None or is_causal or enable_gqa:
        return None
    unify(query.axes[-1], key.axes[-1])
    unify(key.axes[-2], value.axes[-2])
    for of_query, *others in zip(query.axes[:-2], key.axes[:-2], value.axes[:-2], strict=True):
        for other in others:
            unify(of_query, other)
    scale = size(query.axes[-1]) ** -0.5 if scale is None else scale
    inputs = [reading.tensor(each) for each in (query, key, value)]
    axes = [*query.axes[:-1], value.axes[-1]]
    return reading.emit(node, ATTENTION, inputs, axes, scale=scale)
