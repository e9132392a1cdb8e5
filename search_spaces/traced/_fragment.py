"""A fragment: a part of a traced network that reads one tensor and gives one.

It is stored as one line of JSON, in which groups and nodes are numbered, so that equal parts of a
network are equal texts.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from search_spaces import _layers as layers
from search_spaces._rank import rank_of
from search_spaces._slot import FULL_RANK, Cost, Group
from search_spaces.traced._axes import BATCH, Axis, axis_from_json, axis_to_json, length

IMAGES = "x"
"""Name of what a fragment reads."""

CONV, LINEAR, BATCH_NORM, LAYER_NORM = "conv2d", "linear", "batch_norm", "layer_norm"
MATMUL, ATTENTION, TENSOR = "matmul", "attention", "tensor"
LAYERS = frozenset({CONV, LINEAR, MATMUL, ATTENTION})
"""Operations through which no tensor comes as it is."""

CONSTANT = "constant"
"""Name of the weight of a `TENSOR` that no training changes, such as indices."""

MULTIPLIER = "multiplier"
"""Setting that a depthwise convolution has: outputs per channel."""

UPDATE = "update"
"""Setting of a layer whose weight is frozen: the rank of the update that is learnt beside it, the
product of the weights `UP`, (outputs, rank), and `DOWN`, (rank, inputs)."""

UP, DOWN = "up", "down"

FREE = frozenset({"reshape", "permute", TENSOR})
"""Operations that are no kernels of their own."""

ON_GRID = frozenset({"add", "mul"})
"""Operations whose outputs are integers where layers compute with integers."""

GRAPH_NODES = {ATTENTION: 6, "narrow": 4, TENSOR: 0, "relu": 0}
"""Of a file, where an operation is not one node."""

GRAPH_VALUES = {"reshape": 70, "expand": 70, "narrow": 80, "select": 40, TENSOR: 30}
"""Bytes of constants and headers that go with them."""


@dataclass(frozen=True)
class Node:
    """One operation.

    Attributes:
        name: Unique in its fragment.
        op: What it does.
        inputs: Names of the nodes that it reads, or `IMAGES`.
        axes: Of what it gives.
        weights: Axes of its weights, by their names, such as "weight".
        settings: Whatever else decides what it does, as JSON has it.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    axes: tuple[Axis, ...]
    weights: Mapping[str, tuple[Axis, ...]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Everything `from_json` needs."""
        weights = {name: list(map(axis_to_json, axes)) for name, axes in self.weights.items()}
        return {
            "name": self.name,
            "op": self.op,
            "inputs": list(self.inputs),
            "axes": list(map(axis_to_json, self.axes)),
            **({"weights": weights} if weights else {}),
            **({"settings": dict(self.settings)} if self.settings else {}),
        }

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> "Node":
        """The inverse of `to_json`."""
        weights = document.get("weights", {})
        return Node(
            document["name"],
            document["op"],
            tuple(document["inputs"]),
            tuple(map(axis_from_json, document["axes"])),
            {name: tuple(map(axis_from_json, axes)) for name, axes in weights.items()},
            document.get("settings", {}),
        )


@dataclass(frozen=True)
class Fragment:
    """Nodes in the order in which they are carried out; the last one gives the output.

    Attributes:
        nodes: At least one.
        axes: Of what is read.
        groups: Their sizes before pruning.
        multiples: What fast kernels want their sizes to be multiples of.
    """

    nodes: tuple[Node, ...]
    axes: tuple[Axis, ...]
    groups: Mapping[str, int]
    multiples: Mapping[str, int]

    @property
    def prunable(self) -> dict[str, Group]:
        """What sparsity may remove."""
        return {name: Group(size, self.multiples[name]) for name, size in self.groups.items()}

    @property
    def output(self) -> Node:
        """The last node."""
        return self.nodes[-1]

    @cached_property
    def text(self) -> str:
        """One line of JSON: everything `of_text` needs."""
        document = {
            "axes": list(map(axis_to_json, self.axes)),
            "groups": dict(self.groups),
            "multiples": dict(self.multiples),
            "nodes": [node.to_json() for node in self.nodes],
        }
        return json.dumps(document, separators=(",", ":"))

    @staticmethod
    @lru_cache(maxsize=4096)
    def of_text(text: str) -> "Fragment":
        """The inverse of `text`.

        Raises:
            KeyError, TypeError, ValueError: If it is no fragment.
        """
        document = json.loads(text)
        return Fragment(
            tuple(map(Node.from_json, document["nodes"])),
            tuple(map(axis_from_json, document["axes"])),
            document["groups"],
            document["multiples"],
        )

    def cost(self, sizes: Mapping[str, int], rank: str = FULL_RANK) -> Cost:
        """Of all nodes, for these sizes of groups, and layers of this rank."""
        axes = {IMAGES: self.axes} | {node.name: node.axes for node in self.nodes}
        total = Cost()
        for node in self.nodes:
            total += _cost(node, axes, sizes, rank)
        return total


def count(axes: tuple[Axis, ...], sizes: Mapping[str, int]) -> int:
    """Values of a tensor, of one image if it has a batch."""
    one = {BATCH: 1, **sizes}
    return math.prod(length(axis, one) for axis in axes)


def rank_in(node: Node, sizes: Mapping[str, int], rank: str) -> int | None:
    """Values between the two layers in place of a node; None if it stays, as all else does."""
    is_plain = node.settings.get("groups", 1) == 1 and UPDATE not in node.settings
    if node.op not in (CONV, LINEAR) or not is_plain:
        return None
    rows, *columns = (length(axis, sizes) for axis in node.weights["weight"])
    return rank_of(rows, math.prod(columns), rank)


def _layer_cost(node: Node, sizes: Mapping[str, int], elements: int, rank: str) -> Cost:
    """Of a convolution or linear layer, or of the two in its place.

    Args:
        node: Which.
        sizes: Of groups.
        elements: That it gives.
        rank: Of its slot.
    """
    width, in_width, *kernel = (length(axis, sizes) for axis in node.weights["weight"])
    n, num_bias = elements // width, width if "bias" in node.weights else 0
    inner = rank_in(node, sizes, rank)
    if inner is None:
        own = _one_layer(node, n, (width, in_width, *kernel), num_bias)
        return _updated(own, node, sizes) if UPDATE in node.settings else own
    first = _one_layer(node, n, (inner, in_width, *kernel), 0)
    return first + _one_layer(node, n, (width, inner), num_bias)


def _updated(layer: Cost, node: Node, sizes: Mapping[str, int]) -> Cost:
    """The layer as it is deployed; of a sum of matrices no pattern can take elements."""
    trained = sum(count(node.weights[name], sizes) for name in ("bias", UP, DOWN))
    none = dict.fromkeys(
        ("grouped", "grouped_macs", "matrix_grouped", "blocked", "blocked_macs"), 0
    )
    return layer._replace(params=trained, **none)


def _one_layer(node: Node, n: int, shape: tuple[int, ...], num_bias: int) -> Cost:
    """Of a layer like this node at `n` positions, whose weight has this shape."""
    width, in_width, *_ = shape
    weights = math.prod(shape)
    is_conv, is_depthwise = node.op == CONV, MULTIPLIER in node.settings
    own = layers.grouped(n, in_width, weights)
    if not is_conv:
        own += layers.matrix(n, in_width, width)
    return own + layers.layer(
        n,
        weights,
        width,
        graph_bytes=layers.CONV_BYTES if is_conv else layers.LINEAR_BYTES,
        num_bias=num_bias,
        is_depthwise=is_depthwise,
    )


def _cost(
    node: Node, axes: Mapping[str, tuple[Axis, ...]], sizes: Mapping[str, int], rank: str
) -> Cost:
    """Of one node; a batch norm behind a convolution becomes its bias, other norms stay.

    As for operators (`search_spaces/_layers.py`): multiply-adds of convolutions, linear layers and
    products of activations; two parameters per channel of a norm.
    """
    elements = count(node.axes, sizes)
    params = sum(count(shape, sizes) for name, shape in node.weights.items() if is_trained(name))
    if node.op in (CONV, LINEAR):
        return _layer_cost(node, sizes, elements, rank)
    if node.op == BATCH_NORM:  # it becomes the convolution's bias
        return Cost(params=params, vectors=params // 2)
    if node.op == LAYER_NORM:
        return layers.layer_norm(1, 0) + Cost(params=params, vectors=params, elements=elements)
    graph = layers.nodes(GRAPH_NODES.get(node.op, 1), values=GRAPH_VALUES.get(node.op, 0))
    if node.op == MATMUL:
        contracted = length(axes[node.inputs[0]][-1], sizes)
        return graph + Cost(attention=elements * contracted, elements=elements, calls=1)
    if node.op == ATTENTION:
        query, key = axes[node.inputs[0]], axes[node.inputs[1]]
        scores = count(query[:-1], sizes) * length(key[-2], sizes)
        inner = length(query[-1], sizes) + length(node.axes[-1], sizes)
        own = Cost(attention=scores * inner, elements=elements + 2 * scores, calls=3)
        return graph + own
    calls = 0 if node.op in FREE else 1
    quantizers = 1 if node.op in ON_GRID else 0
    return graph + Cost(
        params=params,
        vectors=params,
        elements=calls * elements,
        calls=calls,
        quantizers=quantizers,
    )


def is_trained(weight: str) -> bool:
    """Whether a weight of this name is a parameter and not a statistic."""
    return weight not in ("running_mean", "running_var", CONSTANT)
