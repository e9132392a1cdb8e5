"""The graph of an ONNX file as plain data: nodes in order, and values that are known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor

from compress.bring.onnx._learnt import learnt_in

Known = Tensor | np.ndarray
"""A value that depends on no image: what a network learnt as a tensor, all else as numbers (see
`_learnt`)."""

SCOPES = "pkg.torch.onnx.name_scopes"
"""Where torch's exporters write the modules that asked for a node, the outermost first."""


@dataclass(frozen=True)
class OnnxNode:
    """One operation of a file.

    Attributes:
        op: Its operator, by ONNX's name.
        inputs: Names of values; "" where an optional one is not given.
        outputs: Names of values.
        settings: Its attributes, as Python's values.
        name: As the file has it; may be empty.
        scopes: Of the modules that asked for it, where the file says so.
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    scopes: str = ""

    @staticmethod
    def of_proto(node: onnx.NodeProto) -> "OnnxNode":
        """What a file says."""
        settings = {a.name: _plain(helper.get_attribute_value(a)) for a in node.attribute}
        scopes = {entry.key: entry.value for entry in node.metadata_props}.get(SCOPES, "")
        return OnnxNode(
            node.op_type, tuple(node.input), tuple(node.output), settings, node.name, scopes
        )


@dataclass
class OnnxGraph:
    """What is done to images.

    Attributes:
        nodes: In the order in which they are carried out.
        known: Values by name.
        images: Name of the input.
        scores: Name of the output.
    """

    nodes: list[OnnxNode]
    known: dict[str, Known]
    images: str
    scores: str

    @staticmethod
    def of_proto(graph: onnx.GraphProto) -> "OnnxGraph":
        """The graph of a file with one input and one output."""
        arrays = {t.name: _numbers(numpy_helper.to_array(t)) for t in graph.initializer}
        learnt = learnt_in(graph, {n: array for n, array in arrays.items() if has_reals(array)})
        known: dict[str, Known] = {
            name: torch.from_numpy(array) if name in learnt else array
            for name, array in arrays.items()
        }
        nodes = []
        for proto in graph.node:
            node = OnnxNode.of_proto(proto)
            if node.op == "Constant":
                known[node.outputs[0]] = _numbers(next(iter(node.settings.values())))
            else:
                nodes.append(node)
        given = [each.name for each in graph.input if each.name not in known]
        return OnnxGraph(nodes, known, given[0], graph.output[0].name)

    def makers(self) -> dict[str, OnnxNode]:
        """By name of a value, the node that makes it."""
        return {output: node for node in self.nodes for output in node.outputs if output}

    def readers(self) -> dict[str, list[OnnxNode]]:
        """By name of a value, the nodes that read it."""
        found: dict[str, list[OnnxNode]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found.setdefault(name, []).append(node)
        return found

    def without_unused(self) -> "OnnxGraph":
        """With the nodes and values alone on which the scores depend."""
        wanted, kept = {self.scores}, []
        for node in reversed(self.nodes):
            if wanted & set(node.outputs):
                kept.append(node)
                wanted |= set(node.inputs)
        known = {name: value for name, value in self.known.items() if name in wanted}
        return OnnxGraph(kept[::-1], known, self.images, self.scores)

    def number(self, name: str) -> float | None:
        """A known value that is one number."""
        value = self.known.get(name)
        if value is None or (value.numel() if isinstance(value, Tensor) else value.size) != 1:
            return None
        return float(value.item())


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return list(value) if not isinstance(value, int | float | str | onnx.GraphProto) else value


def has_reals(value: Known) -> bool:
    """Whether numbers are several reals, which operators take as tensors."""
    return isinstance(value, np.ndarray) and value.dtype == np.float32 and value.size > 1


def is_table(value: Known | None) -> TypeGuard[Known]:
    """Whether a value is several reals, learnt or not."""
    return isinstance(value, Tensor) or (value is not None and has_reals(value))


def as_operand(value: Known | None) -> Known | None:
    """A known value as operators take it."""
    return torch.tensor(value) if value is not None and has_reals(value) else value


def _numbers(value: Any) -> np.ndarray:
    """Reals as fp32, whatever precision the file has them in."""
    found = np.asarray(value)
    is_real = found.dtype.kind == "f" or found.dtype.name == "bfloat16"
    return found.astype(np.float32) if is_real else found
