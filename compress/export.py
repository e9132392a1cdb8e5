"""Writing a network as ONNX: the one export function.

The TorchScript exporter at opset 20: it keeps GELU in one node and is many times faster than the
dynamo exporter, which a test tries so that we can switch when it catches up.
"""

import copy
import io
import itertools
import warnings
from pathlib import Path

import onnx
import torch
from torch import nn
from torch.onnx.errors import OnnxExporterError

from search_spaces import CandidateError

OPSET, IR_VERSION = 20, 9
INPUT, OUTPUT = "images", "logits"


@torch.no_grad()
def export_onnx(network: nn.Module, path: Path, *, channels: int, size: tuple[int, int]) -> None:
    """Write the network with a free batch axis, input "images" and output "logits".

    Args:
        network: From `compress`; in evaluation mode.
        path: The file; its folder must exist.
        channels: Of the images.
        size: Height and width of the images, pixels.

    Raises:
        CandidateError: If the network cannot be exported.
        OSError: If the file cannot be written.
    """
    example = torch.zeros(1, channels, *size)
    buffer = io.BytesIO()
    plain = copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*legacy TorchScript-based ONNX export.*")
            warnings.filterwarnings("ignore", message="The feature will be removed")
            warnings.filterwarnings("ignore", message="Constant folding - Only steps=1")
            warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
            torch.onnx.export(
                plain,
                (example,),
                buffer,  # type: ignore[arg-type]  # file-like objects are accepted
                dynamo=False,
                opset_version=OPSET,
                do_constant_folding=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes={INPUT: {0: "batch"}, OUTPUT: {0: "batch"}},
            )
    except OnnxExporterError as error:
        raise CandidateError(f"cannot export to ONNX: {error}") from error
    model = with_short_names(without_aliases(onnx.load_from_string(buffer.getvalue())))
    try:
        path.write_bytes(model.SerializeToString())
    except OSError as error:  # of a full disk, which does not name the file
        raise OSError(error.errno, error.strerror, str(path)) from error


def with_short_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model whose nodes have no names and whose activations have numbers; weights keep theirs.

    In a small int8 network the names of what is between its nodes are a tenth of the file.
    """
    graph = model.graph
    outputs = {output.name for output in graph.output}
    inner = [name for node in graph.node for name in node.output if name not in outputs]
    taken = {tensor.name for tensor in graph.initializer} | outputs | {INPUT}
    numbers = (str(number) for number in itertools.count() if str(number) not in taken)
    short = dict(zip(inner, numbers, strict=False))
    for node in graph.node:
        node.ClearField("doc_string")
        node.ClearField("name")
        for names in (node.input, node.output):
            names[:] = [short.get(name, name) for name in names]
    del graph.value_info[:]
    return model


def without_aliases(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with every reader of an Identity node reading what it copies.

    The exporter stores equal tensors once and names the others through Identity nodes, behind which
    onnxruntime does not recognise the constants that its integer kernels need.
    """
    graph = model.graph
    outputs = {output.name for output in graph.output}
    source = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == "Identity" and node.output[0] not in outputs
    }
    kept = [node for node in graph.node if node.output[0] not in source]
    for node in kept:
        for i, name in enumerate(node.input):
            while name in source:
                name = source[name]
            node.input[i] = name
    del graph.node[:]
    graph.node.extend(kept)
    return model
