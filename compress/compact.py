"""Making an exported graph small without changing what it computes, bit for bit.

Of a small network's file a third can be names, and much of the rest says what is so anyway. Kernels
and matrices are called after their slot: "s2b1.f" is one of "stage2.block1". Everything else has
a short name without meaning, and a node that of its first output: some runtimes want names of
nodes, and unique ones.
"""

import math
import re
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

LEAST_TABLE = 16
"""Integers from which a table is stored in fewer bits: a node makes them what they were."""

LEAST_SIDE = 16
"""Tokens from which a table over pairs of them is made of a number per token."""

NARROW = (np.uint8, np.uint16)
NEUTRAL: Mapping[str, int] = {"dilations": 1, "strides": 1, "pads": 0}
"""Attributes of convolutions that say nothing if all their numbers are these."""

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def compact_(model: onnx.ModelProto) -> None:
    """Make a graph as the TorchScript exporter writes it small, in place.

    Equal constants become one and lose their nodes and aliases: behind an Identity onnxruntime does
    not recognise the constants that its integer kernels need.
    """
    graph = model.graph
    (opset,) = (entry.version for entry in model.opset_import if not entry.domain)
    _share_constants_(graph)
    _compose_tables_(graph)
    _narrow_tables_(graph)
    for node in graph.node:
        node.ClearField("doc_string")
        stated = [a for a in node.attribute if not _goes_without_saying(node, a, opset)]
        del node.attribute[:]
        node.attribute.extend(stated)
    del graph.value_info[:]
    _rename_(graph)


def _share_constants_(graph: onnx.GraphProto) -> None:
    """Every constant is an initializer, equal ones are one, and readers of copies read the source.

    The name of what equal ones become is that of the first.
    """
    outputs = {output.name for output in graph.output}
    tensors, kept = list(graph.initializer), []
    source: dict[str, str] = {}
    for node in graph.node:
        is_inner = node.output[0] not in outputs
        if is_inner and node.op_type == "Identity":
            source[node.output[0]] = source.get(node.input[0], node.input[0])
        elif is_inner and node.op_type == "Constant" and node.attribute[0].name == "value":
            tensor = node.attribute[0].t
            tensor.name = node.output[0]
            tensors.append(tensor)
        else:
            kept.append(node)
    first: dict[bytes, str] = {}
    shared = []
    for tensor in tensors:
        name = tensor.name
        tensor.ClearField("name")
        source[name] = first.setdefault(tensor.SerializeToString(deterministic=True), name)
        tensor.name = name
        if source[name] == name:
            shared.append(tensor)
    for node in kept:
        originals = [source.get(name, name) for name in node.input]
        node.input[:] = [source.get(name, name) for name in originals]
    _replace_(graph, kept, shared)


Made = tuple[list[onnx.TensorProto], list[onnx.NodeProto]]
"""Tensors, and nodes that make another one of them, under its name."""


def _compose_tables_(graph: onnx.GraphProto) -> None:
    """Positions and masks of attention are tables over pairs of tokens; their files need not be."""
    tensors, nodes = [], []
    for tensor in graph.initializer:
        parts, making = _as_differences(tensor) or _as_regions(tensor) or ([tensor], [])
        tensors += parts
        nodes += making
    _replace_(graph, [*nodes, *graph.node], tensors)


def _as_differences(tensor: onnx.TensorProto) -> Made | None:
    """A flattened table of integers whose entry (i, j) is a number of i less one of j."""
    if tensor.data_type != onnx.TensorProto.INT64 or len(tensor.dims) != 1:
        return None
    values, side = numpy_helper.to_array(tensor), math.isqrt(tensor.dims[0])
    if side < LEAST_SIDE or side * side != values.size:
        return None
    table = values.reshape(side, side)
    minuend, subtrahend = table[:, :1], table[0, 0] - table[0]
    if (table != minuend - subtrahend).any():
        return None
    rows, columns, square, flat = (f"{tensor.name}~{part}" for part in "ijts")
    arrays = {rows: minuend, columns: subtrahend, flat: np.array([-1], np.int64)}
    nodes = [
        helper.make_node("Sub", [rows, columns], [square]),
        helper.make_node("Reshape", [square, flat], [tensor.name]),
    ]
    return [numpy_helper.from_array(array, name) for name, array in arrays.items()], nodes


def _as_regions(tensor: onnx.TensorProto) -> Made | None:
    """Tables whose entry (i, j) is 0 if i and j are in one region, and else a negative number."""
    dims = tensor.dims
    is_square = len(dims) > 1 and dims[-1] == dims[-2] >= LEAST_SIDE
    if tensor.data_type != onnx.TensorProto.FLOAT or not is_square:
        return None
    values = numpy_helper.to_array(tensor)
    number = values.min()
    region = (values == 0).argmax(-1)[..., None, :]
    is_apart = region.swapaxes(-1, -2) != region
    if number >= 0 or (is_apart.astype(np.float32) * number).tobytes() != values.tobytes():
        return None
    columns, rows, same, apart, one, scale = (f"{tensor.name}~{part}" for part in "jisaon")
    axes = [*range(len(dims) - 2), len(dims) - 1, len(dims) - 2]
    nodes = [
        helper.make_node("Transpose", [columns], [rows], perm=axes),
        helper.make_node("Equal", [rows, columns], [same]),
        helper.make_node("Not", [same], [apart]),
        helper.make_node("Cast", [apart], [one], to=tensor.data_type),
        helper.make_node("Mul", [one, scale], [tensor.name]),
    ]
    arrays = {columns: region, scale: np.array(number)}
    return [numpy_helper.from_array(array, name) for name, array in arrays.items()], nodes


def _narrow_tables_(graph: onnx.GraphProto) -> None:
    """Integers of tables, stored in eight bits each instead of 64."""
    tensors, casts = [], []
    wide: dict[str, str] = {}
    for tensor in graph.initializer:
        narrow = _narrowed(tensor)
        if narrow is not None:
            wide[tensor.name] = f"{tensor.name}~"
            output = [wide[tensor.name]]
            casts.append(helper.make_node("Cast", [tensor.name], output, to=tensor.data_type))
        tensors.append(tensor if narrow is None else narrow)
    for node in graph.node:
        node.input[:] = [wide.get(name, name) for name in node.input]
    _replace_(graph, [*casts, *graph.node], tensors)


def _narrowed(tensor: onnx.TensorProto) -> onnx.TensorProto | None:
    """A table in fewer bits, with the same values; None if it is none, or they do not fit."""
    if tensor.data_type != onnx.TensorProto.INT64:
        return None
    values = numpy_helper.to_array(tensor)
    if values.size < LEAST_TABLE or values.min() < 0:
        return None
    for dtype in NARROW:
        if values.max() <= np.iinfo(dtype).max:
            return numpy_helper.from_array(values.astype(dtype), tensor.name)
    return None


def _goes_without_saying(node: onnx.NodeProto, attribute: onnx.AttributeProto, opset: int) -> bool:
    """Whether an attribute says what runtimes take for granted."""
    if attribute.name in NEUTRAL:
        return node.op_type == "Conv" and set(attribute.ints) <= {NEUTRAL[attribute.name]}
    if node.domain:
        return False
    known = onnx.defs.get_schema(node.op_type, opset).attributes.get(attribute.name)
    default = known.default_value if known else None
    if default is None or not default.type:
        return False
    value = helper.get_attribute_value
    return bool(value(attribute) == value(default))


def _rename_(graph: onnx.GraphProto) -> None:
    """Short names for everything but the graph's input and output."""
    kept = {value.name for value in (*graph.input, *graph.output)}
    short = {name: name for name in kept}
    for tensor in graph.initializer:
        is_matrix = sum(side > 1 for side in tensor.dims) > 1  # a scale per channel is none
        slot = f"{_initials(tensor.name)}." if is_matrix and "." in tensor.name else ""
        short[tensor.name] = slot + _number(len(short))
        tensor.name = short[tensor.name]
    for node in graph.node:
        for name in node.output:
            short.setdefault(name, _number(len(short)) if name else "")
        node.input[:] = [short.get(name, name) for name in node.input]
        node.output[:] = [short[name] for name in node.output]
        node.name = node.output[0]


def _initials(name: str) -> str:
    """Letters and numbers of what is before the first dot: "s2b1" of "stage2_block1.mlp.weight"."""
    slot = name.partition(".")[0]
    return "".join(
        letter + number for letter, number in re.findall(r"([a-zA-Z])[a-zA-Z]*(\d*)", slot)
    )


def _number(number: int) -> str:
    """In base 36."""
    high, low = divmod(number, len(DIGITS))
    return (_number(high) if high else "") + DIGITS[low]


def _replace_(
    graph: onnx.GraphProto, nodes: list[onnx.NodeProto], tensors: list[onnx.TensorProto]
) -> None:
    """Puts these in place of the graph's own, some of which they may be."""
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.initializer[:]
    graph.initializer.extend(tensors)
