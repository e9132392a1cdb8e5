"""Names of a network's parts, from what a file calls its nodes and weights."""

import ast
import re

from compress.bring.onnx._graph import OnnxNode

WITH_WEIGHTS = {"Conv", "ConvTranspose", "Linear", "BatchNormalization", "LayerNormalization"}
OF_WEIGHTS = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*\.(weight|gamma)")
"""What modules of torch call their weights, which exporters keep where they change none of them."""

WORDS = {"BiasAdd", "Conv2D", "MatMul", "FusedBatchNormV3", "depthwise"}
"""Last parts of names that TensorFlow gives to operations of a layer."""


def path_of(node: OnnxNode) -> str:
    """The module that asked for a node, such as "layer1.0.conv1"; "" if nothing says so.

    Names of weights say it, or names of nodes: "/layer1/layer1.0/conv1/Conv" of torch's,
    "model/block1/conv/Conv2D" of TensorFlow's.
    """
    if node.op in WITH_WEIGHTS and len(node.inputs) > 1 and OF_WEIGHTS.fullmatch(node.inputs[1]):
        return node.inputs[1].rpartition(".")[0]
    if node.scopes:
        return _of_scopes(node.scopes)
    if "/" not in node.name:
        return ""
    *parts, last = node.name.strip("/").split("/")
    if not _is_operation(last, node.op):
        parts.append(last)
    return ".".join(_segments(parts))


def _segments(parts: list[str]) -> list[str]:
    """Without modules that the next part has in its name: "layer1", "layer1.0"."""
    kept = [
        part
        for part, behind in zip(parts, [*parts[1:], ""], strict=False)
        if not behind.startswith(f"{part}.")
    ]
    return [re.sub(r"\W+", "_", piece) for part in kept for piece in part.split(".") if piece]


def _is_operation(part: str, op: str) -> bool:
    stem = re.sub(r"_\d+$", "", re.sub(r"__\d+$", "", part))
    return stem in (op, *WORDS) or part.partition(";")[0] in WORDS


def _of_scopes(scopes: str) -> str:
    """Of "['', 'layer1', 'layer1.0', 'layer1.0.conv1', 'conv2d_1']" the last but one."""
    try:
        found = ast.literal_eval(scopes)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return ""
    return str(found[-2]) if isinstance(found, list) and len(found) > 1 else ""
