"""What is left out of an exported graph, and that its answers stay."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.compact import LEAST_TABLE, compact_
from compress.export import IR_VERSION, OPSET
from search_spaces import Options, Shape
from supernets.mixers.window import PlainWindow
from tests.strategies import signature

X = np.linspace(-1, 1, 2 * 3 * 5 * 5, dtype=np.float32).reshape(2, 3, 5, 5)


def constant(name: str, values: np.ndarray) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(values))


@pytest.fixture
def model() -> onnx.ModelProto:
    """A convolution with stated defaults, two aliases, two equal constants, and a table."""
    kernel = numpy_helper.from_array(np.full((3, 3, 3, 3), 0.1, np.float32), "stage1_block2.weight")
    table = np.arange(3 * 5 * 5, dtype=np.int64)[::-1].copy()
    nodes = [
        helper.make_node("Identity", [kernel.name], ["alias"], name="a", doc_string="where"),
        helper.make_node(
            "Conv",
            ["images", "alias"],
            ["/conv/output"],
            group=1,
            dilations=[1, 1],
            strides=[1, 1],
            pads=[1, 1, 1, 1],
            kernel_shape=[3, 3],
        ),
        helper.make_node("Identity", ["/conv/output"], ["copy"]),
        constant("rows", np.array([-1, 75])),
        constant("again", np.array([-1, 75])),
        constant("table", table),
        helper.make_node("Reshape", ["copy", "rows"], ["flat"], allowzero=0),
        helper.make_node("Gather", ["flat", "table"], ["turned"], axis=1),
        helper.make_node("Reshape", ["turned", "again"], ["logits"]),
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
        for name, shape in (("images", (3, 5, 5)), ("logits", (75,)))
    ]
    graph = helper.make_graph(nodes, "graph", values[:1], values[1:], [kernel])
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)


def answer(model: onnx.ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    logits: np.ndarray = session.run(None, {"images": X})[0]
    return logits


def test_a_compact_graph_answers_the_same_to_the_bit(model: onnx.ModelProto) -> None:
    before, size = answer(model), model.ByteSize()
    compact_(model)
    onnx.checker.check_model(model, full_check=True)
    np.testing.assert_array_equal(answer(model), before)
    assert model.ByteSize() < 0.7 * size


def test_what_goes_without_saying_is_not_said(model: onnx.ModelProto) -> None:
    compact_(model)
    said = {node.op_type: {a.name for a in node.attribute} for node in model.graph.node}
    assert said == {
        "Conv": {"pads", "kernel_shape"},
        "Reshape": set(),
        "Gather": {"axis"},
        "Cast": {"to"},
    }


def test_equal_constants_are_one_and_tables_have_eight_bits(model: onnx.ModelProto) -> None:
    compact_(model)
    types = {tuple(t.dims): t.data_type for t in model.graph.initializer}
    assert types == {
        (3, 3, 3, 3): TensorProto.FLOAT,
        (2,): TensorProto.INT64,
        (75,): TensorProto.UINT8,
    }
    assert len(model.graph.initializer) == len(types)


@pytest.mark.parametrize(
    ("values", "data_type"),
    [
        (np.arange(LEAST_TABLE) * 255, TensorProto.UINT16),
        (np.arange(LEAST_TABLE) * 65536, TensorProto.INT64),
        (np.arange(LEAST_TABLE) - 1, TensorProto.INT64),
        (np.arange(LEAST_TABLE - 1), TensorProto.INT64),
    ],
)
def test_tables_keep_their_values(
    model: onnx.ModelProto, values: np.ndarray, data_type: int
) -> None:
    table = next(node for node in model.graph.node if node.output[0] == "table")
    table.attribute[0].t.CopyFrom(numpy_helper.from_array(values))
    compact_(model)
    (found,) = (t for t in model.graph.initializer if tuple(t.dims) == values.shape)
    assert found.data_type == data_type
    np.testing.assert_array_equal(numpy_helper.to_array(found), values)


def model_of(values: np.ndarray) -> onnx.ModelProto:
    """Answers with these values, whatever the images."""
    nodes = [
        constant("table", values),
        helper.make_node("Mul", ["table", "images"], ["logits"]),
    ]
    kind = helper.np_dtype_to_tensor_dtype(values.dtype)
    given, answer = (
        helper.make_tensor_value_info(name, kind, shape)
        for name, shape in (("images", []), ("logits", values.shape))
    )
    graph = helper.make_graph(nodes, "graph", [given], [answer])
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)


def test_tables_over_pairs_of_tokens_are_made_of_a_number_per_token() -> None:
    """Positions and masks of windows, to the bit: a mask's zeros are negative."""
    window = PlainWindow(
        signature(
            "window", Options({"num_heads": 1, "expand_ratio": 1}), Shape.square(16, 16, 8, 8, 1, 8)
        )
    )
    assert window.mask_GTT is not None
    for values in (window.position_TT.numpy(), window.mask_GTT.unsqueeze(1).numpy()):
        model = model_of(values)
        compact_(model)
        assert model.ByteSize() < values.nbytes / 20
        session = onnxruntime.InferenceSession(model.SerializeToString())
        found = session.run(None, {"images": np.array(1, values.dtype)})[0]
        assert found.tobytes() == values.tobytes()


def test_names_are_unique_and_short_and_weights_name_their_slot(model: onnx.ModelProto) -> None:
    compact_(model)
    graph = model.graph
    assert [t.name for t in graph.initializer if len(t.dims) > 1] == ["s1b2.2"]
    names = [node.name for node in graph.node]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= len("logits")
