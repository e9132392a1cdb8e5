"""Multiply-adds of an ONNX graph, counted from the shapes that ONNX infers.

Convolutions and matrix products count, of weights and of two tensors, in reals and in integers, as
in the papers and in our own spaces; those that onnxruntime fuses with what follows count, too.
Where an operator multiplies in a way that is not known here, or a shape is not, there is no number
rather than a wrong one.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import onnx
from onnx import NodeProto, helper, inliner, numpy_helper, shape_inference

OWN_DOMAINS = ("", "ai.onnx")
UNCOUNTED = frozenset(
    {
        *("Einsum", "LSTM", "GRU", "RNN", "DeformConv", "Attention", "MultiHeadAttention"),
        *("GroupQueryAttention", "QAttention"),
        *("Loop", "If", "Scan", "RotaryEmbedding", "LinearAttention"),
    }
)
"""Operators that multiply, or may, and that nothing below counts."""

Shapes = Mapping[str, tuple[int, ...]]


class UncountableError(Exception):
    """Why the multiply-adds of a graph are not known."""


def count_macs(model: onnx.ModelProto) -> int:
    """Multiply-adds of one image; the first axis of the inputs is the batch.

    Args:
        model: Its input has numbers for all axes but the first; not changed.

    Raises:
        UncountableError: Naming the operator or the value.
    """
    if model.functions:
        model = inliner.inline_local_functions(model)
    model, batch = _with_batch(model)
    model = _with_plain_constants(model)
    try:
        model = shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # what it raises is of no one class
        raise UncountableError(f"shapes cannot be inferred: {str(error)[:100]}") from error
    shapes = _shapes(model.graph)
    return sum(macs_of(node, shapes) for node in model.graph.node) // batch


def _with_batch(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    """The model for a number of images, and that number: 1 unless the file says another."""
    known = {tensor.name for tensor in model.graph.initializer}
    (given,) = (value for value in model.graph.input if value.name not in known)
    first = given.type.tensor_type.shape.dim[0]
    if first.dim_value > 0:
        return model, int(first.dim_value)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    (given,) = (value for value in copy.graph.input if value.name not in known)
    given.type.tensor_type.shape.dim[0].dim_value = 1
    for value in (*copy.graph.output, *copy.graph.value_info):
        value.type.tensor_type.ClearField("shape")  # the batch has a name there
    return copy, 1


def _with_plain_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with reshaped constants as constants: shapes made of others are not inferred."""
    known = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = [n for n in model.graph.node if n.op_type == "Reshape" and known.keys() >= {*n.input}]
    if not nodes:
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in nodes:
        value, sizes = (numpy_helper.to_array(known[name]) for name in node.input)
        reshaped = value.reshape(sizes)
        copy.graph.initializer.append(numpy_helper.from_array(reshaped, node.output[0]))
        copy.graph.node.remove(node)
    return copy


def _shapes(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    """Of all values whose sizes are numbers."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        sizes = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.shape.dim]
        if kind.HasField("shape") and all(size >= 0 for size in sizes):
            shapes[value.name] = tuple(sizes)
    return shapes


def macs_of(node: NodeProto, shapes: Shapes) -> int:
    """Multiply-adds of one node.

    Args:
        node: Of a graph without local functions.
        shapes: Of values, by name; those of its weights and outputs are needed.

    Raises:
        UncountableError: Naming the operator.
    """
    count = COUNTERS.get(node.op_type)
    if count is not None:
        try:
            return count(node, shapes)
        except UncountableError as error:
            raise UncountableError(f"operator {node.op_type}: {error}") from error
    is_product = any(word in node.op_type for word in ("Conv", "MatMul", "Gemm", "Attention"))
    if node.op_type in UNCOUNTED or (is_product and node.domain not in OWN_DOMAINS):
        raise UncountableError(f"operator {node.op_type} is not counted")
    return 0


def _shape(shapes: Shapes, name: str) -> tuple[int, ...]:
    if name not in shapes:
        raise UncountableError(f"the shape of '{name}' is not known")
    return shapes[name]


def _convolution(weight: int) -> Callable[[NodeProto, Shapes], int]:
    """Every output value sums over the weights of its channel, which are input number `weight`."""

    def count(node: NodeProto, shapes: Shapes) -> int:
        of_channel = math.prod(_shape(shapes, node.input[weight])[1:])
        return math.prod(_shape(shapes, node.output[0])) * of_channel

    return count


def _transposed_convolution(node: NodeProto, shapes: Shapes) -> int:
    """Every input value is multiplied with the weights of its channel."""
    return math.prod(_shape(shapes, node.input[0])) * math.prod(_shape(shapes, node.input[1])[1:])


def _product(node: NodeProto, shapes: Shapes) -> int:
    return math.prod(_shape(shapes, node.output[0])) * _shape(shapes, node.input[0])[-1]


def _fused_product(node: NodeProto, shapes: Shapes) -> int:
    a = _shape(shapes, node.input[0])
    inner = a[-2] if _attribute(node, "transA") else a[-1]
    return math.prod(_shape(shapes, node.output[0])) * inner


def _product_of_few_bits(node: NodeProto, shapes: Shapes) -> int:
    return math.prod(_shape(shapes, node.output[0])) * _attribute(node, "K")


def _gemm(node: NodeProto, shapes: Shapes) -> int:
    a = _shape(shapes, node.input[0])
    inner = a[0] if _attribute(node, "transA") else a[-1]
    return math.prod(_shape(shapes, node.output[0])) * inner


def _attribute(node: NodeProto, name: str) -> int:
    found: Sequence[onnx.AttributeProto] = [a for a in node.attribute if a.name == name]
    return int(helper.get_attribute_value(found[0])) if found else 0


COUNTERS: Mapping[str, Callable[[NodeProto, Shapes], int]] = {
    "Conv": _convolution(weight=1),
    "ConvInteger": _convolution(weight=1),
    "QLinearConv": _convolution(weight=3),
    "FusedConv": _convolution(weight=1),
    "ConvTranspose": _transposed_convolution,
    "MatMul": _product,
    "MatMulInteger": _product,
    "QLinearMatMul": _product,
    "MatMulIntegerToFloat": _product,
    "DynamicQuantizeMatMul": _product,
    "FusedMatMul": _fused_product,
    "MatMulNBits": _product_of_few_bits,
    "Gemm": _gemm,
    "FusedGemm": _gemm,
    "QGemm": _gemm,
}
