"""Looking into exported files: what they answer, and what a runtime makes of their graphs."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from torch import nn

from nas.testing._exported import answers as answers
from nas.testing._exported import compress_for_here as compress_for_here
from nas.testing._exported import export as export
from nas.testing._exported import loaded as loaded
from nas.testing._exported import one_thread

INTEGER_KERNELS = (
    "QLinearConv",
    "QGemm",
    "QLinearMatMul",
    "QLinearAdd",
    "QLinearGlobalAveragePool",
)


def kernels(path: Path) -> Counter[str]:
    """How often each operator is in the graph that onnxruntime runs."""
    options = one_thread()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    optimised = path.with_suffix(".optimised.onnx")
    options.optimized_model_filepath = str(optimised)
    onnxruntime.InferenceSession(path, options)
    return Counter(node.op_type for node in onnx.load(optimised).graph.node)


class Scales(NamedTuple):
    """Scales of one integer layer: of its input, its weight's channels, and its bias."""

    input: np.ndarray
    weight: np.ndarray
    bias: np.ndarray


def integer_layers(path: Path) -> list[Scales]:
    """Scales of every convolution and linear layer of a file with integer weights."""
    graph = onnx.load(path).graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    made_by = {output: node for node in graph.node for output in node.output}
    layers = []
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm") or node.input[1] not in made_by:
            continue
        scales = []
        for name in node.input:
            source = made_by[name]
            while source.op_type in ("Reshape", "Flatten", "Transpose"):
                source = made_by[source.input[0]]
            assert source.op_type == "DequantizeLinear", (node.op_type, source.op_type)
            scales.append(values[source.input[1]])
        layers.append(Scales(*scales))
    return layers


def num_layers(network: nn.Module, kind: type[nn.Module]) -> int:
    """Modules of that kind."""
    return sum(isinstance(module, kind) for module in network.modules())


def require_integer_kernels(fp32: nn.Module, path: Path) -> None:
    """Every convolution and linear layer of the network before runs an integer kernel.

    What multiplies values by others' values stays in floating point, as in a file of fp32.
    """
    ran, convolutions = kernels(path), num_layers(fp32, nn.Conv2d)
    nodes = [node.op_type for node in onnx.load(path).graph.node]
    assert ran["QLinearConv"] == convolutions > 0
    assert ran["Conv"] + ran["FusedConv"] == nodes.count("Conv") - convolutions
    assert ran["QGemm"] == num_layers(fp32, nn.Linear)
    assert ran["QLinearGlobalAveragePool"] == num_layers(fp32, nn.AdaptiveAvgPool2d)
    assert not {"Gemm", "Erf"} & ran.keys()


def require_one_node_per_gelu(fp32: nn.Module, path: Path) -> None:
    """A file has one node for each GELU of the network before."""
    nodes = [node.op_type for node in onnx.load(path).graph.node]
    assert nodes.count("Gelu") == num_layers(fp32, nn.GELU)
    assert "Erf" not in nodes


def require_biases_on_grids(path: Path) -> int:
    """Biases of integer layers are on the product of the scales of input and weight.

    Runtimes add the integer bias to integer products without looking at its scale.

    Returns:
        The number of layers.
    """
    layers = integer_layers(path)
    for layer in layers:
        assert layer.input.ndim == 0
        np.testing.assert_allclose(layer.bias, layer.input * layer.weight, rtol=1e-6)
    return len(layers)
