"""What an ONNX file claims: sizes of its arrays, and of what its nodes make of them."""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from compress.bring._memory import bytes_of, refuse_large
from compress.bring.onnx._graph import OnnxGraph, OnnxNode, as_operand
from compress.bring.onnx._module import carried_out
from compress.bring.onnx.operators._base import ints, scalar
from search_spaces import UserError

MOST_NODES = 100_000
"""Of a graph whose functions are written out: one may use others several times."""

NUMBER_BYTES = 8


def refuse_claims(path: Path, model: onnx.ModelProto) -> None:
    """Refuses a file whose arrays or functions claim too much.

    Args:
        path: Of it.
        model: Without what lies in files beside it.

    Raises:
        UserError: If arrays would not fit into memory, functions become too many nodes, or one
            uses itself.
    """
    bodies = {(each.domain, each.name): each.node for each in model.functions}

    @cache
    def written_out(domain: str, name: str) -> tuple[int, int]:
        """Nodes of an operator, and bytes of the arrays in them."""
        body = bodies.get((domain, name))
        return (1, 0) if body is None else total(body)

    def total(nodes: Iterable[onnx.NodeProto]) -> tuple[int, int]:
        counts, claims = 0, 0
        for node in nodes:
            count, claim = written_out(node.domain, node.op_type)
            counts += count
            claims += claim + sum(map(_claimed, _of_node(node)))
        return counts, claims

    try:
        count, claim = total(model.graph.node)
    except RecursionError:
        count, claim = MOST_NODES + 1, 0
    if count > MOST_NODES:
        raise UserError(
            f"model '{path}' cannot be read: it becomes more than {MOST_NODES} nodes. Export it "
            "again without functions."
        )
    claim += sum(map(_claimed, _initial(model.graph)))
    refuse_large(f"model '{path}'", "its arrays claim", claim)


def _initial(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """Arrays that a graph begins with."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from _of_sparse(sparse)


def _arrays(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """All arrays in a graph."""
    yield from _initial(graph)
    for node in graph.node:
        yield from _of_node(node)


def _of_node(node: onnx.NodeProto) -> Iterator[TensorProto]:
    for attribute in node.attribute:
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from _of_sparse(sparse)
        for graph in (attribute.g, *attribute.graphs):
            yield from _arrays(graph)


def _of_sparse(sparse: onnx.SparseTensorProto) -> Iterator[TensorProto]:
    """Its parts, and what it would be if it were not sparse."""
    yield from (sparse.values, sparse.indices)
    yield TensorProto(data_type=sparse.values.data_type, dims=sparse.dims)


def _claimed(tensor: TensorProto) -> int:
    """Bytes of an array by its sizes, or by what it says lies in a file beside the model."""
    if tensor.data_type == TensorProto.UNDEFINED:  # attributes of other kinds
        return 0
    try:
        each = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except KeyError:
        each = NUMBER_BYTES
    told = {entry.key: entry.value for entry in tensor.external_data}.get("length", "")
    beside = int(told) if told.isdecimal() else 0
    return max(beside, each * math.prod(max(0, n) for n in tensor.dims))


@torch.no_grad()
def refuse_large_values(path: Path, graph: OnnxGraph, shape: Sequence[int]) -> None:
    """Refuses a graph whose nodes would make too much, those that nothing reads among them.

    What depends on images is carried out on tensors without values.

    Args:
        path: Of the file.
        graph: As the file has it.
        shape: Of the images that it will be given.

    Raises:
        UserError: If they would.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    values: dict[str, Any] = {"": None, **graph.known}
    with mode:
        values[graph.images] = torch.empty(tuple(shape))
    total = bytes_of([values[graph.images]])
    for node in graph.nodes:
        given = [as_operand(values[name]) for name in node.inputs]
        claim = f"node '{node.name or node.outputs[0]}' ({node.op}) and those before it make"
        numbers = NUMBER_BYTES * _numbers_made(node, given)
        refuse_large(f"model '{path}'", claim, total + numbers)
        fakes = [_without_values(mode, value) for value in given]
        with mode:
            made = carried_out(node, fakes)
        total += numbers + bytes_of(made)
        refuse_large(f"model '{path}'", claim, total)
        if not any(isinstance(value, FakeTensor) for value in given):
            made = carried_out(node, given)
        values |= dict(zip(node.outputs, made, strict=False))


def _without_values(mode: FakeTensorMode, value: Any) -> Any:
    """A tensor's shape and kind alone; all else as it is."""
    is_real = isinstance(value, Tensor) and not isinstance(value, FakeTensor)
    return mode.from_tensor(value) if is_real else value


def _numbers_made(node: OnnxNode, given: Sequence[Any]) -> int:
    """How many numbers a node makes of numbers alone, at most; 0 if it reads a tensor."""
    if any(isinstance(value, Tensor) for value in given):
        return 0
    arrays = [np.asarray(value) for value in given if value is not None]
    if node.op == "ConstantOfShape":
        return math.prod(ints(arrays[0]))
    if node.op == "Range":
        low, high, by = map(scalar, arrays)
        return max(0, math.ceil((high - low) / by))
    if node.op == "Tile":
        return arrays[0].size * math.prod(ints(arrays[1]))
    if node.op == "Concat":
        return sum(array.size for array in arrays)
    if node.op == "Gather":
        axis = node.settings.get("axis", 0)
        return arrays[1].size * arrays[0].size // max(1, arrays[0].shape[axis])
    shapes = [array.shape for array in arrays]
    if node.op == "Expand":
        shapes[1] = tuple(ints(arrays[1]))
    sides = zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1)
    return math.prod(map(max, sides))
