"""What a file needs where it runs: the card's `needs`, read from the file itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from compress.quantize._weights import REDUCED_WEIGHT_MAX
from nas.system.environment import WITHOUT_SATURATION

COMMON = frozenset(
    (
        *("Add", "AveragePool", "Clip", "Concat", "Constant", "Conv", "DequantizeLinear"),
        *("Flatten", "Gemm", "GlobalAveragePool", "Identity", "MatMul", "MaxPool", "Mul"),
        *("QuantizeLinear", "Relu", "Reshape", "Resize", "Sigmoid", "Slice", "Softmax"),
        *("Squeeze", "Sub", "Transpose", "Unsqueeze"),
    )
)
"""Operators of ONNX that quantizers and compilers for devices know."""

LAYERS = ("Conv", "Gemm")
DEQUANTIZE, DYNAMIC = "DequantizeLinear", "MatMulInteger"


def needs_of(file: Path) -> dict[str, Any]:
    """Opset and IR version of an ONNX file; of integer layers bits of weights and processors.

    Returns:
        `opset`, `ir_version`, `domains` of other operators than those of ONNX and `uncommon` ones,
        if any, and, where layers multiply integers, `weight_bits`: 7 run anywhere, 8 saturate but
        on `instruction_sets`, any of which a processor must have.
    """
    model = onnx.load(file)
    (opset,) = (entry.version for entry in model.opset_import if not entry.domain)
    found: dict[str, Any] = {"opset": opset, "ir_version": model.ir_version}
    domains = sorted({node.domain for node in model.graph.node} - {""})
    found |= {"domains": domains} if domains else {}
    uncommon = uncommon_operators(model)
    found |= {"uncommon": uncommon} if uncommon else {}
    largest = max(map(_largest, _integer_weights(model.graph)), default=0)
    if largest > REDUCED_WEIGHT_MAX:
        found |= {"weight_bits": 8, "instruction_sets": sorted(WITHOUT_SATURATION)}
    elif largest:
        found |= {"weight_bits": 7}
    return found


def uncommon_operators(model: onnx.ModelProto) -> list[str]:
    """What not every tool for devices knows, by name: operators, and convolutions that are dilated.

    Source: Mehta et al., Simple and Efficient Architectures for Semantic Segmentation (2022), who
    keep to what quantizers, pruners and compilers take. Departure: the list is ours.
    """
    found = {node.op_type for node in model.graph.node if node.op_type not in COMMON}
    for node in model.graph.node:
        dilations = next((a.ints for a in node.attribute if a.name == "dilations"), ())
        if any(dilation > 1 for dilation in dilations):
            found.add(f"{node.op_type} with dilations")
    return sorted(found)


def _integer_weights(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    """Weights of layers that multiply integers of eight bits.

    Either biases are integers, too, or the node says so. Four bits do not saturate.
    """
    values: Mapping[str, onnx.TensorProto] = {tensor.name: tensor for tensor in graph.initializer}
    stored = {
        node.output[0]: values[node.input[0]]
        for node in graph.node
        if node.op_type == DEQUANTIZE and node.input[0] in values
    }
    static = [
        stored[node.input[1]]
        for node in graph.node
        if node.op_type in LAYERS and {*node.input[1:]} <= stored.keys() and len(node.input) > 2
    ]
    return static + [values[node.input[1]] for node in graph.node if node.op_type == DYNAMIC]


def _largest(weight: onnx.TensorProto) -> int:
    return int(np.abs(numpy_helper.to_array(weight).astype(int)).max())
