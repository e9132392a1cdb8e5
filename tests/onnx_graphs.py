"""Looking into exported files: what they answer, and what a runtime makes of their graphs."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch import nn

from compress import Compressed, compress, export_onnx
from nas.system.environment import int8_products_saturate
from search_spaces import SearchSpace, Slot
from supernets.network import PlainNetwork

INTEGER_KERNELS = (
    "QLinearConv",
    "QGemm",
    "QLinearMatMul",
    "QLinearAdd",
    "QLinearGlobalAveragePool",
)


def compress_for_here(
    network: PlainNetwork, slots: Sequence[Slot], calibration: Sequence[torch.Tensor]
) -> Compressed:
    """Compressed so that this processor's integer kernels give the answers of the simulation."""
    return compress(network, slots, calibration, needs_reduced_range=int8_products_saturate())


def export(network: nn.Module, space: SearchSpace, path: Path) -> Path:
    """Writes the network of a space as ONNX."""
    assert space.network is not None
    size = space.network
    export_onnx(network, path, channels=size.channels, resolution=size.resolution)
    return path


def answers(path: Path, images: torch.Tensor) -> np.ndarray:
    """Logits of a file on one thread."""
    session = onnxruntime.InferenceSession(path, _one_thread())
    logits: np.ndarray = session.run(["logits"], {"images": images.numpy()})[0]
    return logits


def kernels(path: Path) -> Counter[str]:
    """How often each operator is in the graph that onnxruntime runs."""
    options = _one_thread()
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


def _one_thread() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options
