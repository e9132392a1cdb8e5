"""ONNX files: read, and refused in one message where no network can be made of them."""

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, inliner, version_converter

from compress.bring._memory import refuse_large
from compress.bring.onnx._claims import refuse_claims
from compress.bring.onnx.operators import OPERATORS
from search_spaces import UserError, some_of

OLDEST_OPSET, CONVERTED_TO = 13, 17
OWN_DOMAINS = ("", "ai.onnx")
QUANTIZED = ("QLinear", "QuantizeLinear", "DequantizeLinear", "Integer", "NBits", "QAttention")
"""In names of operators."""

REALS = {TensorProto.FLOAT: "", TensorProto.DOUBLE: "fp64", TensorProto.FLOAT16: "fp16"}
"""Precisions that are changed, by names; "" for the one that networks have."""


def read_model(path: Path) -> onnx.ModelProto:
    """The model of a file, of opset 13 or newer, without functions.

    Raises:
        UserError: If it cannot be read, claims more memory than there is, or has operators that
            cannot be rebuilt.
    """
    if not path.is_file():
        raise UserError(f"model '{path}': there is no such file.")
    refuse_large(f"model '{path}'", "the file has", path.stat().st_size)
    model = _with_weights(path)
    if model.functions:
        model = inliner.inline_local_functions(model)
    _refuse_quantized(path, model)
    _refuse_other_domains(path, model)
    opset = max((o.version for o in model.opset_import if o.domain in OWN_DOMAINS), default=0)
    if opset < OLDEST_OPSET:
        model = _converted(path, model, opset)
    _refuse_unknown(path, model)
    return model


def _with_weights(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's classes are several
        raise UserError(
            f"model '{path}' is no ONNX file ({type(error).__name__}). Export it again."
        ) from error
    if not model.graph.node:
        raise UserError(f"model '{path}' is no ONNX file: it has no graph. Export it again.")
    refuse_claims(path, model)
    beside = {
        entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    missing = sorted(name for name in beside if not (path.parent / name).is_file())
    if missing:
        raise UserError(
            f"model '{path}' has its weights in {some_of(missing)}, which is not there. Put it "
            "beside the model, as it was when it was exported."
        )
    try:
        return onnx.load(path)
    except Exception as error:  # the checker's among others: a place outside of the folder
        raise UserError(f"model '{path}': its weights cannot be read: {error!s:.200}.") from error


def _refuse_quantized(path: Path, model: onnx.ModelProto) -> None:
    found = [n for n in model.graph.node if any(word in n.op_type for word in QUANTIZED)]
    if found:
        raise UserError(
            f"model '{path}' is quantized already: it has {_ops(found)}. Bring the file of reals "
            "that it was made from: formats are chosen here."
        )


def _refuse_other_domains(path: Path, model: onnx.ModelProto) -> None:
    found = [node for node in model.graph.node if node.domain not in OWN_DOMAINS]
    if found:
        raise UserError(
            f"model '{path}' has operators that are not ONNX's own: {_ops(found)} of "
            f"'{found[0].domain}'. Bring the file as it was before it was optimised for a runtime."
        )


def _converted(path: Path, model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """An older file as a newer one; whether it answers the same is checked by who asks."""
    try:
        return version_converter.convert_version(model, CONVERTED_TO)
    except Exception as error:  # what it raises is of no one class
        raise UserError(
            f"model '{path}' has opset {opset}, which cannot be converted: {error!s:.200}. Export "
            f"it with opset {OLDEST_OPSET} or newer."
        ) from error


def _refuse_unknown(path: Path, model: onnx.ModelProto) -> None:
    rebuilt = {*OPERATORS, "Constant"}
    found = [node for node in model.graph.node if node.op_type not in rebuilt]
    if found:
        raise UserError(
            f"model '{path}' has operators that cannot be rebuilt: {_ops(found)}. Bring the "
            "network as FILE.py:FUNCTION, or as an exported program (.pt2)."
        )


def images_of(path: Path, model: onnx.ModelProto) -> tuple[list[int], str]:
    """Sizes of the input, 0 for free ones, and the precision of its values as in `REALS`.

    Raises:
        UserError: If it is no batch of images of reals, or there are several inputs or outputs.
    """
    graph = model.graph
    known = {tensor.name for tensor in graph.initializer}
    inputs = [each for each in graph.input if each.name not in known]
    for found, what in ((inputs, "inputs"), (graph.output, "outputs")):
        if len(found) != 1:
            names = some_of([each.name for each in found])
            raise UserError(
                f"model '{path}' has {len(found)} {what}: {names}. Bring a classifier: one that "
                "takes a batch of images and gives a tensor of scores."
            )
    kind = inputs[0].type.tensor_type
    sizes = [max(0, dim.dim_value) for dim in kind.shape.dim]  # some write -1 for free ones
    if len(sizes) != 4:
        raise UserError(
            f"model '{path}' reads '{inputs[0].name}' of {len(sizes)} axes, not 4. Bring a network "
            "for images: (batch, channels, height, width)."
        )
    if kind.elem_type not in REALS:
        name = TensorProto.DataType.Name(kind.elem_type).lower()
        raise UserError(
            f"model '{path}' reads {name}, not reals. Export it without what it does to pixels, "
            "and give that as --mean and --std."
        )
    return sizes, REALS[kind.elem_type]


def _ops(nodes: Sequence[onnx.NodeProto]) -> str:
    """Operators with the first node of each."""
    first = {node.op_type: node.name or node.output[0] for node in reversed(nodes)}
    return some_of([f"{op} ('{name}')" for op, name in first.items()])
