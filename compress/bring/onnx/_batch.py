"""A graph that was written for a fixed number of images, for any number of them."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from compress.bring._free import axis_of_images, free_sizes
from compress.bring.onnx._graph import OnnxGraph, OnnxNode, as_operand, is_table
from compress.bring.onnx._module import carried_out

BATCH = "number of images"


@torch.no_grad()
def with_free_batch(graph: OnnxGraph, fixed: int, image: Sequence[int]) -> OnnxGraph:
    """With sizes that follow from the images that are given.

    It is carried out for the fixed number of images and for another one, node by node.

    Args:
        graph: With constants computed.
        fixed: Images that it was written for.
        image: Channels, height and width of one.
    """
    known = dict(graph.known)
    first = OnnxNode("Shape", (graph.images,), (BATCH,), {"start": 0, "end": 1})
    nodes: list[OnnxNode] = []
    found: tuple[dict[str, Any], ...] = ({"": None}, {"": None})
    for values, count in zip(found, (fixed, fixed + 1), strict=True):
        values[graph.images] = torch.zeros(count, *image)
    within: dict[str, int] = {}
    for node in [first, *graph.nodes]:
        before: list[OnnxNode] = []
        if node.op == "Reshape" and isinstance(known.get(node.inputs[1]), np.ndarray):
            node = _freed(node, known, found, within, fixed)
        elif node.op == "Concat" and node.settings["axis"] != 0:
            node, before = _with_expanded_constants(node, known, fixed)
        for each in [*before, node]:
            for values in found:
                given = [
                    as_operand(known[name]) if name in known else values[name]
                    for name in each.inputs
                ]
                values |= dict(zip(each.outputs, carried_out(each, given), strict=False))
            inherited = max((within.get(name, 1) for name in each.inputs), default=1)
            for output in each.outputs:
                within.setdefault(output, inherited)
        nodes += [*before, node]
    return OnnxGraph(nodes, known, graph.images, graph.scores)


def _freed(
    node: OnnxNode,
    known: dict[str, np.ndarray | Tensor],
    found: tuple[dict[str, Any], ...],
    within: dict[str, int],
    fixed: int,
) -> OnnxNode:
    """A reshape whose size along the images is found out."""
    x, target = (node.inputs[0], known[node.inputs[1]])
    shape = tuple(found[0][x].shape)
    axis = axis_of_images(shape, tuple(found[1][x].shape))
    if axis is None:
        return node
    (made,) = carried_out(node, [found[0][x], target])
    outside = math.prod(shape[:axis]) * within.get(x, 1)
    sizes, within[node.outputs[0]] = free_sizes(tuple(made.shape), outside, fixed)
    name = f"{node.outputs[0]}, sizes"
    known[name] = np.array(sizes)
    return replace(node, inputs=(x, name))


def _with_expanded_constants(
    node: OnnxNode, known: dict[str, np.ndarray | Tensor], fixed: int
) -> tuple[OnnxNode, list[OnnxNode]]:
    """A concatenation whose constants, such as a class token, are there once per image."""
    if all(name in known for name in node.inputs):
        return node, []
    inputs, expansions = [], []
    for name in node.inputs:
        value = known.get(name)
        if is_table(value) and value.ndim > 1 and len(value) == fixed:
            one, shape, output = (f"{name}, {word}" for word in ("one", "sizes", "expanded"))
            known[one], known[f"{shape} behind"] = value[:1], np.array(value.shape[1:])
            join = OnnxNode("Concat", (BATCH, f"{shape} behind"), (shape,), {"axis": 0})
            expansions += [join, OnnxNode("Expand", (one, shape), (output,))]
            name = output
        inputs.append(name)
    return replace(node, inputs=tuple(inputs)), expansions
