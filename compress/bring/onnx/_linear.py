"""Linear layers, which files write as a product and an addition."""

from dataclasses import replace

from torch import Tensor

from compress.bring.onnx._graph import Known, OnnxGraph, OnnxNode
from compress.bring.onnx.operators.layers import LINEAR


def with_linear_layers(graph: OnnxGraph) -> OnnxGraph:
    """With products by known matrices, and what is added to them, as linear layers."""
    known, makers, readers = dict(graph.known), graph.makers(), graph.readers()
    made: dict[str, OnnxNode] = {}
    gone: set[str] = set()
    for node in graph.nodes:
        weight = _matrix(node, known, makers)
        if weight is None:
            continue
        name, matrix = weight
        known[name] = matrix
        bias, output = _bias_of(node, len(matrix), known, readers)
        if bias is None:
            continue
        if bias:
            known[bias] = known[bias].reshape(-1)  # type: ignore[union-attr]
        gone |= {node.outputs[0], output}
        inputs = (node.inputs[0], name, *([bias] if bias else []))
        made[output] = replace(node, op=LINEAR, inputs=inputs, outputs=(output,), settings={})
    nodes = []
    for node in graph.nodes:
        if node.outputs[0] in made:
            nodes.append(made[node.outputs[0]])
        elif node.outputs[0] not in gone:
            nodes.append(node)
    return OnnxGraph(nodes, known, graph.images, graph.scores)


def _matrix(
    node: OnnxNode, known: dict[str, Known], makers: dict[str, OnnxNode]
) -> tuple[str, Tensor] | None:
    """Name and values of what a node multiplies by, outputs first; None if it is no layer."""
    settings = node.settings
    is_plain = not settings.get("transA") and settings.get("alpha", 1.0) == 1.0
    if node.op not in ("MatMul", "Gemm") or not is_plain or node.inputs[0] in known:
        return None
    if settings.get("beta", 1.0) != 1.0:
        return None
    name, is_turned = node.inputs[1], bool(settings.get("transB"))
    maker = makers.get(name)
    if maker is not None and maker.op == "Transpose" and maker.inputs[0] in known:
        name, is_turned = maker.inputs[0], not is_turned
    value = known.get(name)
    if not isinstance(value, Tensor) or value.dim() != 2:
        return None
    return (name, value) if is_turned else (f"{name}.turned", value.t().contiguous())


def _bias_of(
    node: OnnxNode, width: int, known: dict[str, Known], readers: dict[str, list[OnnxNode]]
) -> tuple[str | None, str]:
    """The bias of a layer, "" if it has none, and the value that it gives; None: no layer."""

    def is_bias(name: str) -> bool:
        value = known.get(name)
        return isinstance(value, Tensor) and value.numel() == width == value.shape[-1]

    if node.op == "Gemm" and len(node.inputs) > 2 and node.inputs[2]:
        return (node.inputs[2] if is_bias(node.inputs[2]) else None), node.outputs[0]
    following = readers.get(node.outputs[0], [])
    if len(following) == 1 and following[0].op == "Add":
        addend = next((name for name in following[0].inputs if is_bias(name)), "")
        if addend and known[addend].ndim == 1:
            return addend, following[0].outputs[0]
    return "", node.outputs[0]
