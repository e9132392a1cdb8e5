"""From the graph that answers with all exits to the one that stops at the first exit that is sure.

What an exit needs besides what earlier ones needed is in the branch of an If that is entered if no
earlier one was sure enough, so that a runtime computes the rest only then. Each branch has the
constants that it alone, or first, reads. Quantized networks are cut where they are: what reads a
value on a grid in another branch than it was made in gets a DequantizeLinear of its own, or no
runtime would find the integer kernel.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from compress.export import OUTPUT

EXIT, THRESHOLDS = "exit", "thresholds"
DEQUANTIZE = "DequantizeLinear"


def first_exit(flat: ModelProto, thresholds: Sequence[float]) -> ModelProto:
    """The model that stops at the first exit whose confidence is above its threshold."""
    graph = flat.graph
    num_classes = graph.output[0].type.tensor_type.shape.dim[1].dim_value
    levels = _levels(graph)
    assert len(thresholds) == len(levels) - 1, "every exit but the last has a threshold"
    first = _Nesting(levels, [output.name for output in graph.output], num_classes).graph(0)
    image = copy.deepcopy(graph.input[0])
    image.type.tensor_type.shape.dim[0].dim_value = 1
    values = numpy_helper.from_array(np.array(thresholds, np.float32), THRESHOLDS)
    given = helper.make_tensor_value_info(THRESHOLDS, TensorProto.FLOAT, [len(thresholds)])
    outer = helper.make_graph(
        first.node,
        EXIT,
        [image, given],
        first.output,
        initializer=[values, *first.initializer],
    )
    return helper.make_model(outer, opset_imports=flat.opset_import, ir_version=flat.ir_version)


@dataclass(frozen=True)
class _Level:
    """What an exit needs besides what earlier ones do: nodes, and constants that they alone read
    or read first."""

    nodes: tuple[NodeProto, ...]
    constants: tuple[TensorProto, ...]


def _levels(graph: GraphProto) -> list[_Level]:
    """One per output, in their order."""
    maker = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    known: set[int] = set()
    read: set[str] = set()
    dequantized: dict[str, NodeProto] = {}
    levels = []
    for number, output in enumerate(graph.output):
        own = _needed(graph, maker, output.name) - known
        known |= own
        nodes = _with_own_dequantized([graph.node[i] for i in sorted(own)], dequantized, number)
        inputs = [name for node in nodes for name in node.input if name in tensors]
        constants = [tensors[name] for name in dict.fromkeys(inputs) if name not in read]
        read.update(inputs)
        dequantized |= {n.output[0]: n for n in nodes if n.op_type == DEQUANTIZE}
        levels.append(_Level(tuple(nodes), tuple(constants)))
    return levels


def _needed(graph: GraphProto, maker: Mapping[str, int], name: str) -> set[int]:
    """Numbers of the nodes that a value is made by."""
    found: set[int] = set()
    waiting = [name]
    while waiting:
        number = maker.get(waiting.pop())
        if number is not None and number not in found:
            found.add(number)
            waiting += graph.node[number].input
    return found


def _with_own_dequantized(
    nodes: Iterable[NodeProto], outside: Mapping[str, NodeProto], level: int
) -> list[NodeProto]:
    """The nodes, reading copies of those outside that make floats of integers."""
    copies: dict[str, NodeProto] = {}
    found = []
    for original in nodes:
        node = copy.deepcopy(original)
        for place, name in enumerate(node.input):
            if name not in outside:
                continue
            if name not in copies:
                copies[name] = copy.deepcopy(outside[name])
                copies[name].output[0] = copies[name].name = f"{name}.{level}"
            node.input[place] = copies[name].output[0]
        found.append(node)
    return [*copies.values(), *found]


@dataclass(frozen=True)
class _Nesting:
    """Graphs in graphs.

    Attributes:
        levels: One per exit.
        answers: Names of the logits of each.
        num_classes: Of these.
    """

    levels: Sequence[_Level]
    answers: Sequence[str]
    num_classes: int

    def graph(self, number: int) -> GraphProto:
        """From this exit on, if no earlier one was sure."""
        level, place = self.levels[number], f".{number}" if number else ""
        if number == len(self.levels) - 1:
            left = self._leave(number, place)
            nodes = [*level.nodes, *left.node]
            return helper.make_graph(
                nodes, f"exit{place}", [], left.output, initializer=level.constants
            )
        sure, at = f"sure.{number}", f"place.{number}"
        shares, largest, threshold = (f"{n}.{number}" for n in ("shares", "largest", "threshold"))
        decision = [
            helper.make_node("Softmax", [self.answers[number]], [shares], axis=-1),
            helper.make_node("ReduceMax", [shares], [largest], keepdims=0),
            helper.make_node("Gather", [THRESHOLDS, at], [threshold]),
            helper.make_node("Greater", [largest, threshold], [sure]),
            helper.make_node(
                "If",
                [sure],
                [f"{OUTPUT}{place}", f"{EXIT}{place}"],
                then_branch=self._leave(number, f".{number}.sure"),
                else_branch=self.graph(number + 1),
            ),
        ]
        for node in decision:
            node.name = node.output[0]
        index = numpy_helper.from_array(np.array(number, np.int64), at)
        return helper.make_graph(
            [*level.nodes, *decision],
            f"exit{place}",
            [],
            self._outputs(place),
            initializer=[*level.constants, index],
        )

    def _leave(self, number: int, place: str) -> GraphProto:
        """Answers with an exit."""
        said = numpy_helper.from_array(np.array([number + 1], np.int64))
        nodes = [
            helper.make_node("Identity", [self.answers[number]], [f"{OUTPUT}{place}"]),
            helper.make_node("Constant", [], [f"{EXIT}{place}"], value=said),
        ]
        for node in nodes:
            node.name = node.output[0]
        return helper.make_graph(nodes, f"leave{place}", [], self._outputs(place))

    def _outputs(self, place: str) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(
                f"{OUTPUT}{place}", TensorProto.FLOAT, [1, self.num_classes]
            ),
            helper.make_tensor_value_info(f"{EXIT}{place}", TensorProto.INT64, [1]),
        ]
