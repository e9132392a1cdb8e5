"""Layer norms, which files of opsets before 17 spell out."""

from torch import Tensor

from compress.bring.onnx._graph import OnnxGraph, OnnxNode


def with_layer_norms(graph: OnnxGraph) -> OnnxGraph:
    """With (x - mean) / sqrt(variance + epsilon) of the last axis, and its vectors, as one node."""
    makers, readers = graph.makers(), graph.readers()
    made: dict[str, OnnxNode] = {}
    for node in graph.nodes:
        found = _normalised(graph, node, makers)
        if found is None:
            continue
        x, epsilon = found
        output, bias = node.outputs[0], ""
        product, scale = _followed_by(graph, output, "Mul", readers)
        if scale:
            output = product
            total, bias = _followed_by(graph, output, "Add", readers)
            output = total if bias else output
        settings = {"axis": -1, "epsilon": epsilon}
        made[output] = OnnxNode(
            "LayerNormalization", (x, scale, bias), (output,), settings, node.name, node.scopes
        )
    nodes = [made.get(node.outputs[0], node) for node in graph.nodes]
    return OnnxGraph(nodes, graph.known, graph.images, graph.scores)


def _normalised(
    graph: OnnxGraph, node: OnnxNode, makers: dict[str, OnnxNode]
) -> tuple[str, float] | None:
    """What a division normalises, and epsilon."""

    def made_by(name: str, *ops: str) -> OnnxNode | None:
        found = makers.get(name)
        return found if found is not None and found.op in ops else None

    if node.op != "Div":
        return None
    above, root = made_by(node.inputs[0], "Sub"), made_by(node.inputs[1], "Sqrt")
    total = made_by(root.inputs[0], "Add") if root else None
    if above is None or total is None:
        return None
    mean, variance = made_by(above.inputs[1], "ReduceMean"), made_by(total.inputs[0], "ReduceMean")
    epsilon = graph.number(total.inputs[1])
    square = made_by(variance.inputs[0], "Pow", "Mul") if variance else None
    if mean is None or variance is None or square is None or epsilon is None:
        return None
    x = above.inputs[0]
    centred = made_by(square.inputs[0], "Sub")
    is_square = (
        graph.number(square.inputs[1]) == 2.0 if square.op == "Pow" else len({*square.inputs}) == 1
    )
    is_of_x = centred is not None and centred.inputs == above.inputs and mean.inputs[0] == x
    if is_square and is_of_x and all(_is_last(graph, each) for each in (mean, variance)):
        return x, epsilon
    return None


def _is_last(graph: OnnxGraph, node: OnnxNode) -> bool:
    """Whether it is a mean along the last axis that keeps it."""
    axes = node.settings.get("axes")
    if len(node.inputs) > 1 and node.inputs[1]:
        number = graph.number(node.inputs[1])
        axes = None if number is None else [int(number)]
    return axes == [-1] and bool(node.settings.get("keepdims", 1))


def _followed_by(
    graph: OnnxGraph, name: str, op: str, readers: dict[str, list[OnnxNode]]
) -> tuple[str, str]:
    """Output and learnt vector of the one node that reads a value, if it is of this operator."""
    following = readers.get(name, [])
    if len(following) == 1 and following[0].op == op:
        for other in following[0].inputs:
            value = graph.known.get(other)
            if isinstance(value, Tensor) and value.dim() == 1:
                return following[0].outputs[0], other
    return "", ""
