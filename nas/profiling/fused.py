"""The kernels of an ONNX file as onnxruntime fuses them, and what each of them moves.

ONNX's shape inference ends where onnxruntime has fused nodes into operators of its own, so shapes
are read off one call. Layouts are those of ONNX: blocked ones add kernels that only reorder.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from nas.profiling.kernels import class_of
from nas.profiling.macs import UncountableError, macs_of
from nas.targets.onnxruntime import is_integer, nodes_with_weights, run_once

VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"})
"""Give a tensor another shape and move nothing."""

BYTES = {
    **dict.fromkeys(("float", "int32", "uint32"), 4),
    **dict.fromkeys(("double", "int64", "uint64"), 8),
    **dict.fromkeys(("float16", "bfloat16", "int16", "uint16"), 2),
}
"""Of a number, by the profiler's name of its type; of any other type one."""


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """One kernel of a file.

    Attributes:
        name: Of the node.
        op: Its operator, by the runtime's name.
        group: Class of the operator, out of `nas.profiling.kernels.CLASSES`.
        macs: Multiply-adds of a call.
        outputs: Numbers that it writes.
        num_bytes: That it reads and writes, weights and tensors; 0 of one that moves nothing.
        weight_bytes: Of these, weights.
        is_integer: Whether it computes on integers.
    """

    name: str
    op: str
    group: str
    macs: int
    outputs: int
    num_bytes: int
    weight_bytes: int
    is_integer: bool

    @property
    def ops(self) -> int:
        """Multiply-adds; where there are none, one for each number that it writes."""
        return self.macs or self.outputs


@dataclass(frozen=True, kw_only=True)
class Block:
    """Kernels between two tensors through which everything flows, such as a residual block.

    Attributes:
        kernels: Numbers of the kernels, in the order in which they run.
        num_bytes: Of the tensor that enters, of that which leaves, and of all weights.
    """

    kernels: tuple[int, ...]
    num_bytes: int


@dataclass(frozen=True, kw_only=True)
class FusedGraph:
    """What a file computes.

    Attributes:
        kernels: In the order in which they run.
        blocks: All of them, in the same order.
    """

    kernels: tuple[Kernel, ...]
    blocks: tuple[Block, ...]


def fused_graph(file: Path, *, batch: int = 1) -> FusedGraph:
    """The kernels of a file.

    Args:
        file: An ONNX file with numbers for all axes but the first; not changed.
        batch: Images per call.

    Raises:
        CandidateError: If onnxruntime cannot run it.
        UncountableError: If the multiply-adds of an operator are not known.
    """
    model, events = run_once(file, batch=batch)
    ran = {event["node"]: event["args"] for event in events}
    nodes = [node for node in model.graph.node if node.name in ran]
    if len(nodes) < len(model.graph.node):
        raise UncountableError("the runtime does not say what each of its nodes moves")
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    sizes: dict[str, int] = {}
    for node in nodes:
        for names, described in (
            (node.input, ran[node.name]["input_type_shape"]),
            (node.output, ran[node.name]["output_type_shape"]),
        ):
            given = [name for name in names if name]
            if len(given) == len(described):
                for name, (kind, shape) in zip(given, map(_only, described), strict=True):
                    shapes.setdefault(name, tuple(shape))
                    sizes[name] = math.prod(shape) * BYTES.get(kind, 1)
    fed = nodes_with_weights(model)
    kernels = tuple(_kernel(node, ran[node.name], shapes, node.name in fed) for node in nodes)
    weights = {tensor.name for tensor in model.graph.initializer}
    return FusedGraph(kernels=kernels, blocks=tuple(_blocks(nodes, kernels, sizes, weights)))


def _only(described: Mapping[str, Sequence[int]]) -> tuple[str, Sequence[int]]:
    """Type and shape of a tensor as the profiler has it."""
    ((kind, shape),) = described.items()
    return kind, shape


def _kernel(
    node: onnx.NodeProto,
    ran: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
    has_weights: bool,
) -> Kernel:
    read, weights, written = (
        int(ran[f"{what}_size"]) for what in ("activation", "parameter", "output")
    )
    moves = node.op_type not in VIEWS
    return Kernel(
        name=node.name,
        op=node.op_type,
        group=class_of(node.op_type, has_weights=has_weights),
        macs=macs_of(node, shapes),
        outputs=sum(math.prod(shapes[name]) for name in node.output if name in shapes),
        num_bytes=moves * (read + weights + written),
        weight_bytes=moves * weights,
        is_integer=is_integer(node.op_type),
    )


def _blocks(
    nodes: Sequence[onnx.NodeProto],
    kernels: Sequence[Kernel],
    sizes: Mapping[str, int],
    weights: set[str],
) -> Iterator[Block]:
    """Cut wherever one tensor alone is still needed."""
    last_use = {name: i for i, node in enumerate(nodes) for name in node.input}
    entering = next((name for name in nodes[0].input if name and name not in weights), "")
    live = {entering} - {""}
    begun = 0
    for i, node in enumerate(nodes):
        live |= {name for name in node.output if name}
        live = {name for name in live if last_use.get(name, -1) > i}
        if len(live) > 1:
            continue
        leaving = next(iter(live), node.output[0])
        inside = range(begun, i + 1)
        yield Block(
            kernels=tuple(inside),
            num_bytes=sizes.get(entering, 0)
            + sizes.get(leaving, 0)
            + sum(kernels[number].weight_bytes for number in inside),
        )
        entering, begun = leaving, i + 1
