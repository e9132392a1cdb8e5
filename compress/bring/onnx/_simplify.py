"""A graph with what files write in many nodes as one, so that it is known for what it is."""

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from compress.bring.onnx._activations import with_activations
from compress.bring.onnx._graph import Known, OnnxGraph, OnnxNode, as_operand, is_table
from compress.bring.onnx._linear import with_linear_layers
from compress.bring.onnx._module import carried_out
from compress.bring.onnx._norms import with_layer_norms
from compress.bring.onnx.operators.shapes import END, ROLL

SAME = ("Identity", "Dropout")


def simplified(graph: OnnxGraph) -> OnnxGraph:
    """The same function of images, in fewer nodes.

    What is known is computed, layers, activations and norms that are spelled out become what they
    are, and what changes nothing goes.
    """
    passes: Sequence[Callable[[OnnxGraph], OnnxGraph]] = (
        without_identities,
        with_linear_layers,
        folded,
        without_round_trips,
        with_linear_layers,
        with_layer_norms,
        with_activations,
        with_rolls,
        with_own_weights,
    )
    for change in passes:
        graph = change(graph).without_unused()
    return graph


def without_identities(graph: OnnxGraph) -> OnnxGraph:
    """Without nodes that give what they read."""
    same = {
        node.outputs[0]: node.inputs[0]
        for node in graph.nodes
        if node.op in SAME and not any(node.outputs[1:])
    }
    return renamed(graph, same)


def renamed(graph: OnnxGraph, names: dict[str, str]) -> OnnxGraph:
    """With values in place of others, whose nodes go."""

    def of(name: str) -> str:
        while name in names:
            name = names[name]
        return name

    nodes = [
        replace(node, inputs=tuple(map(of, node.inputs)))
        for node in graph.nodes
        if not names.keys() & set(node.outputs)
    ]
    return OnnxGraph(nodes, graph.known, graph.images, of(graph.scores))


@torch.no_grad()
def folded(graph: OnnxGraph) -> OnnxGraph:
    """With everything computed that depends on no image."""
    known, nodes = dict(graph.known), []
    for node in graph.nodes:
        given = [name for name in node.inputs if name]
        if given and all(name in known for name in given):
            read = [known[name] if name else None for name in node.inputs]
            is_learnt = any(isinstance(value, Tensor) for value in read)
            values = carried_out(node, [as_operand(value) for value in read])
            kept = [
                value if is_learnt and _is_real(value) else np.asarray(value) for value in values
            ]
            known |= dict(zip(node.outputs, kept, strict=False))
        else:
            nodes.append(node)
    return OnnxGraph(nodes, known, graph.images, graph.scores)


def _is_real(value: Known) -> bool:
    """Whether it may be learnt."""
    return isinstance(value, Tensor) and value.is_floating_point()


def without_round_trips(graph: OnnxGraph) -> OnnxGraph:
    """Without permutations that undo each other."""
    makers, same = graph.makers(), {}
    for node in graph.nodes:
        before = makers.get(node.inputs[0]) if node.op == "Transpose" else None
        if before is None or before.op != "Transpose":
            continue
        one, other = (each.settings.get("perm") for each in (before, node))
        if one and other and [one[axis] for axis in other] == list(range(len(one))):
            same[node.outputs[0]] = before.inputs[0]
    return renamed(graph, same)


def with_rolls(graph: OnnxGraph) -> OnnxGraph:
    """With two parts of an axis that change places as the roll that they are."""
    makers = graph.makers()
    nodes = []
    for node in graph.nodes:
        parts = [makers.get(name) for name in node.inputs] if node.op == "Concat" else []
        found = [_part(graph, part) for part in parts if part is not None and part.op == "Slice"]
        if len(parts) == len(found) == 2:
            (x, axis, start, end), (other, along, first, last) = found
            are_parts = first == 0 and start == last and (end >= END or end > start > 0)
            if x == other and axis == along == node.settings["axis"] and are_parts:
                settings = {"shift": -int(start), "axis": int(axis), "end": int(min(end, END))}
                node = replace(node, op=ROLL, inputs=(x,), settings=settings)
        nodes.append(node)
    return OnnxGraph(nodes, graph.known, graph.images, graph.scores)


def _part(graph: OnnxGraph, node: OnnxNode) -> tuple[str, float, float, float]:
    """Of what a slice takes a part, along which axis, from where and to where; NaN: not known."""
    starts, ends, axes, steps = (*node.inputs[1:], "", "", "")[:4]
    found = [graph.number(name) for name in (axes, starts, ends)]
    step = graph.number(steps) if steps else 1.0
    axis, start, end = (math.nan if n is None or step != 1.0 else n for n in found)
    return node.inputs[0], axis, start, end


def with_own_weights(graph: OnnxGraph) -> OnnxGraph:
    """With what several nodes learnt, or a table that they read, for each of them.

    Exporters write equal arrays once, though the network had them twice.
    """
    known, nodes, taken = dict(graph.known), [], set[str]()
    for node in graph.nodes:
        inputs = list(node.inputs)
        for i, name in enumerate(inputs):
            value = known.get(name)
            if not is_table(value):
                continue
            if name in taken:
                inputs[i] = f"{node.outputs[0]}, input {i}"
                known[inputs[i]] = deepcopy(value)
            taken.add(name)
        nodes.append(replace(node, inputs=tuple(inputs)))
    return OnnxGraph(nodes, known, graph.images, graph.scores)
