"""Activations that files spell out, found by what they are as functions.

GELU is written with a division or a product first, SiLU as a product with a sigmoid, hard swish
with limits of a sum: whatever the spelling, all nodes between one tensor and another are carried
out on numbers, and compared with the activations that we know.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from compress.bring.onnx._graph import OnnxGraph, OnnxNode
from compress.bring.onnx._module import carried_out

POINTWISE = frozenset(
    {
        *("Add", "Sub", "Mul", "Div", "Pow", "Neg", "Reciprocal", "Abs", "Sqrt", "Exp", "Log"),
        *("Erf", "Tanh", "Sigmoid", "Softplus", "HardSigmoid", "HardSwish", "Clip", "Relu"),
        *("Min", "Max"),
    }
)
MOST_NODES = 12
GRID = torch.linspace(-10.0, 10.0, 401, dtype=torch.float64)
CLOSE = 1e-5
"""Constants of files have fp32's precision; tanh's GELU differs from erf's by 5e-4."""

KNOWN: tuple[tuple[str, Mapping[str, Any], Callable[[Tensor], Tensor]], ...] = (
    ("Gelu", {}, functional.gelu),
    ("Gelu", {"approximate": "tanh"}, lambda x: functional.gelu(x, approximate="tanh")),
    ("Swish", {}, functional.silu),
    ("HardSwish", {}, functional.hardswish),
    ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, functional.hardsigmoid),
    ("Mish", {}, functional.mish),
    ("Sigmoid", {}, torch.sigmoid),
)
"""Operator, settings, function."""


def with_activations(graph: OnnxGraph) -> OnnxGraph:
    """With every spelled out activation as one node."""
    makers = graph.makers()
    place = {output: i for i, node in enumerate(graph.nodes) for output in node.outputs}
    nodes = [
        (node if node.op not in POINTWISE else _activation(graph, node, makers, place) or node)
        for node in graph.nodes
    ]
    return OnnxGraph(nodes, graph.known, graph.images, graph.scores)


def _activation(
    graph: OnnxGraph, last: OnnxNode, makers: dict[str, OnnxNode], place: dict[str, int]
) -> OnnxNode | None:
    """The activation that ends with a node, if one does."""
    inside, frontier = [last], _tensors(graph, last)
    while frontier is not None and len(inside) <= MOST_NODES:
        if len(frontier) == 1 and len(inside) > 1:
            (source,) = frontier
            found = _known_as(graph, source, inside)
            if found is not None:
                op, settings = found
                return OnnxNode(op, (source,), last.outputs, settings, last.name, last.scopes)
        latest = max(frontier, key=lambda name: place.get(name, -1), default="")
        node = makers.get(latest)
        if node is None or node.op not in POINTWISE:
            return None
        more = _tensors(graph, node)
        frontier = None if more is None else (frontier - {latest}) | more
        inside.append(node)
    return None


def _tensors(graph: OnnxGraph, node: OnnxNode) -> set[str] | None:
    """What a node reads besides numbers; None if it reads what was learnt."""
    found = {name for name in node.inputs if name and graph.number(name) is None}
    return None if found & graph.known.keys() else found


def _known_as(
    graph: OnnxGraph, source: str, inside: list[OnnxNode]
) -> tuple[str, Mapping[str, Any]] | None:
    """Operator and settings of what nodes, the last one first, do to a tensor."""
    values: dict[str, Any] = {"": None, **graph.known, source: GRID}
    for node in reversed(inside):
        outputs = carried_out(node, [values[name] for name in node.inputs])
        values |= dict(zip(node.outputs, outputs, strict=False))
    found = values[inside[0].outputs[0]]
    for op, settings, function in KNOWN:
        if (found - function(GRID)).abs().max() < CLOSE:
            return op, settings
    return None
