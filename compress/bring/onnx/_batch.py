"""A graph that was written for a fixed number of images, for any number of them.

Exporters put the number that they were given into the sizes of reshapes. The first axis is the one
that has the images in what networks for images write; where it is not, answers differ from the
file's, which is checked afterwards (`load.py`).
"""

from dataclasses import replace

import numpy as np
from torch import Tensor

from compress.bring.onnx._graph import OnnxGraph, OnnxNode

BATCH = "number of images"


def with_free_batch(graph: OnnxGraph, fixed: int) -> OnnxGraph:
    """With sizes that follow from the images that are given.

    Args:
        graph: With constants computed.
        fixed: Images that it was written for.
    """
    known = dict(graph.known)
    nodes = [OnnxNode("Shape", (graph.images,), (BATCH,), {"start": 0, "end": 1})]
    for node in graph.nodes:
        if node.op == "Reshape" and isinstance(known.get(node.inputs[1]), np.ndarray):
            name = f"{node.outputs[0]}, sizes"
            known[name] = _free(known[node.inputs[1]], fixed)  # type: ignore[arg-type]
            node = replace(node, inputs=(node.inputs[0], name))
        elif node.op == "Concat" and node.settings["axis"] != 0:
            node, expansions = _with_expanded_constants(node, known, fixed)
            nodes += expansions
        nodes.append(node)
    return OnnxGraph(nodes, known, graph.images, graph.scores)


def _free(target: np.ndarray, fixed: int) -> np.ndarray:
    """Sizes of a reshape whose first one is found out."""
    first, *rest = target.tolist()
    if first > 0 and -1 not in rest and 0 not in rest:
        return np.array([-1, *rest])
    if first == fixed:
        return np.array([0, *rest])  # as what is read has it
    return target


def _with_expanded_constants(
    node: OnnxNode, known: dict[str, np.ndarray | Tensor], fixed: int
) -> tuple[OnnxNode, list[OnnxNode]]:
    """A concatenation whose constants, such as a class token, are there once per image."""
    if all(name in known for name in node.inputs):
        return node, []
    inputs, expansions = [], []
    for name in node.inputs:
        value = known.get(name)
        if isinstance(value, Tensor) and value.dim() > 1 and len(value) == fixed:
            one, shape, output = (f"{name}, {word}" for word in ("one", "sizes", "expanded"))
            known[one], known[f"{shape} behind"] = value[:1], np.array(value.shape[1:])
            join = OnnxNode("Concat", (BATCH, f"{shape} behind"), (shape,), {"axis": 0})
            expansions += [join, OnnxNode("Expand", (one, shape), (output,))]
            name = output
        inputs.append(name)
    return replace(node, inputs=tuple(inputs)), expansions
