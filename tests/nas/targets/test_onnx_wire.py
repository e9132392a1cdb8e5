"""What reaches beyond an ONNX file is found wherever it may stand, and so is what is no file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, ModelProto, TensorProto, helper

from nas.targets._onnx_wire import check_stands_alone, contents_of
from nas.testing.targets import fp32_file
from search_spaces import CandidateError


def elsewhere() -> TensorProto:
    """Weights in another file."""
    tensor = TensorProto(name="w", dims=[4], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def attribute(**fields: object) -> AttributeProto:
    return AttributeProto(name="value", **fields)  # type: ignore[arg-type]


def graph_with(tensor: TensorProto) -> onnx.GraphProto:
    return helper.make_graph([], "inner", [], [], [tensor])


def in_initializer(model: ModelProto) -> None:
    model.graph.initializer.append(elsewhere())


def in_sparse_initializer(model: ModelProto) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(elsewhere())


def in_attribute(model: ModelProto) -> None:
    model.graph.node.add(op_type="Constant").attribute.append(attribute(t=elsewhere()))


def in_list_of_an_attribute(model: ModelProto) -> None:
    model.graph.node.add(op_type="Constant").attribute.append(attribute(tensors=[elsewhere()]))


def in_loop(model: ModelProto) -> None:
    inner = graph_with(elsewhere())
    model.graph.node.add(op_type="Loop").attribute.append(attribute(g=inner))


def in_loop_of_a_loop(model: ModelProto) -> None:
    inner = helper.make_graph([], "outer", [], [])
    inner.node.add(op_type="If").attribute.append(attribute(graphs=[graph_with(elsewhere())]))
    model.graph.node.add(op_type="Loop").attribute.append(attribute(g=inner))


def in_function(model: ModelProto) -> None:
    function = model.functions.add(name="f", domain="ai.onnx")
    function.node.add(op_type="Constant").attribute.append(attribute(t=elsewhere()))


def in_training(model: ModelProto) -> None:
    model.training_info.add().initialization.CopyFrom(graph_with(elsewhere()))


def by_operator_of_others(model: ModelProto) -> None:
    model.graph.node.add(op_type="Run", domain="evil.example")


def by_context(model: ModelProto) -> None:
    model.graph.node.add(op_type="EPContext", domain="com.microsoft")


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        *(
            (place, "weights in another file")
            for place in (
                in_initializer,
                in_sparse_initializer,
                in_attribute,
                in_list_of_an_attribute,
                in_loop,
                in_loop_of_a_loop,
                in_function,
            )
        ),
        (in_training, "a part for training"),
        (by_operator_of_others, "operators of 'evil.example'"),
        (by_context, "'EPContext' names other files"),
    ],
)
def test_what_names_another_file_is_refused(
    place: Callable[[ModelProto], None], reason: str, tmp_path: Path
) -> None:
    file = fp32_file(tmp_path)
    check_stands_alone(file)
    model = onnx.load(file)
    place(model)
    file.write_bytes(model.SerializeToString())
    with pytest.raises(CandidateError, match=reason):
        check_stands_alone(file)


def varint(value: int, num_bytes: int = 1) -> bytes:
    found = [(value >> 7 * i & 0x7F) | 0x80 for i in range(num_bytes)]
    while value >> 7 * len(found):
        found.append((value >> 7 * len(found) & 0x7F) | 0x80)
    return bytes([*found[:-1], found[-1] & 0x7F])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04\x95\x0b\x00\x00\x00",  # a pickle
        b"PK\x03\x04",
        b"\x08\x0a",  # a version and nothing else
        varint(7 << 3 | 2) + varint(200) + b"short",
        varint(7 << 3 | 3) + varint(7 << 3 | 4),  # a group
        varint(0) + varint(0),
        varint((1 << 32) + (7 << 3 | 2)) + varint(0),  # the graph, of a reader of 32 bits
        b"\xff" * 40,
        b"".join([b"\x3a\x7e\x0a\x7c\x2a\x7a\x32\x78"] * 60),
    ],
)
def test_what_is_no_onnx_file_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "bad.onnx"
    file.write_bytes(content)
    with pytest.raises(CandidateError, match="bad.onnx' is no ONNX file"):
        check_stands_alone(file)


@pytest.mark.parametrize("value", [1, 1 + (1 << 32), (1 << 63) + 1])
def test_a_place_of_weights_that_others_cut_to_32_bits_is_refused(
    value: int, tmp_path: Path
) -> None:
    tensor = varint(14 << 3) + varint(value)
    graph = varint(5 << 3 | 2) + varint(len(tensor)) + tensor
    file = fp32_file(tmp_path)
    file.write_bytes(file.read_bytes() + varint(7 << 3 | 2, 3) + varint(len(graph)) + graph)
    with pytest.raises(CandidateError, match="weights in another file"):
        check_stands_alone(file)


def test_operators_are_those_that_onnx_finds(tmp_path: Path) -> None:
    file = fp32_file(tmp_path)
    model = onnx.load(file)
    model.graph.node.add(op_type="Relu").attribute.append(attribute(ints=np.arange(300)))
    inner = helper.make_graph([helper.make_node("Gelu", ["a"], ["b"])], "inner", [], [])
    model.graph.node.add(op_type="Loop").attribute.append(attribute(g=inner))
    file.write_bytes(model.SerializeToString())
    found = contents_of(file)
    assert sorted(found.operators) == ["Conv", "Gelu", "Loop", "Relu"]
    assert found.has_graph
    assert not found.beyond
