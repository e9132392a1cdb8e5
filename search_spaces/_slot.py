"""What fills one place of a network, resolved so far that its cost is a closed formula.

A `Slot` without its name is a *signature*: equal signatures are equal computations, so costs,
profile rows and canonical forms are all keyed by it.
"""

import math
import operator
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from search_spaces._choice import Options
from search_spaces._sides import Sides, read_sides, written_sides

HIDDEN_MULTIPLE = 8
"""Of hidden channels a multiple of it is kept."""

GROUP_SIZE = 32
"""Inputs of a linear layer whose weights share a scale where weights have few bits."""

PATTERN_GROUP = 4
"""Neighbouring inputs, or blocks of weights, of which a sparsity pattern keeps some."""

DENSE = "dense"
"""The pattern of trained weights, and where a policy says none."""

FULL_RANK = "full"
"""Of layers as they are trained, and where a policy says none."""


@dataclass(frozen=True)
class Shape:
    """Where a slot sits. Sizes are height and width in pixels, "width" alone means channels.

    Attributes:
        in_size: Of the map that comes in.
        size: Of the map that goes out.
        in_width: Channels that come in.
        width: Channels that go out.
        index: Position among the blocks of its stage, from 0.
        head_dim: Channels of one attention head.
    """

    in_size: Sides
    size: Sides
    in_width: int
    width: int
    index: int = 0
    head_dim: int = 16

    @staticmethod
    def square(
        in_side: int, side: int, in_width: int, width: int, index: int = 0, head_dim: int = 16
    ) -> "Shape":
        """Where both maps are squares of these sides."""
        return Shape((in_side, in_side), (side, side), in_width, width, index, head_dim)

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> "Shape":
        """The inverse of `to_json`."""
        sizes = {name: read_sides(document[name]) for name in ("in_size", "size")}
        return Shape(**{**document, **sizes})

    def to_json(self) -> dict[str, Any]:
        """The attributes; the size of a square map is its side, of another one text, "8x6"."""
        sizes = {"in_size": written_sides(self.in_size), "size": written_sides(self.size)}
        return {**asdict(self), **sizes}

    @property
    def in_pixels(self) -> int:
        """Positions of the map that comes in."""
        return math.prod(self.in_size)

    @property
    def pixels(self) -> int:
        """Positions of the map that goes out."""
        return math.prod(self.size)

    @property
    def stride(self) -> Sides:
        """Of the convolution with "same" padding that makes the one map of the other.

        Such a convolution leaves a side divided by its stride, rounded up.
        """
        rows, columns = (-(-a // b) for a, b in zip(self.in_size, self.size, strict=True))
        return rows, columns

    @property
    def multiple(self) -> Sides:
        """By which whole numbers, at least, the sides of the map that comes in grow to cover the
        one that goes out.
        """
        rows, columns = (-(-a // b) for a, b in zip(self.size, self.in_size, strict=True))
        return rows, columns


class Group(NamedTuple):
    """Channels or heads of one operator that may be pruned together.

    Attributes:
        size: How many there are before pruning.
        multiple: The number kept is a multiple of this (what fast kernels want).
    """

    size: int
    multiple: int

    def kept(self, sparsity: float) -> int:
        """How many remain when the fraction `sparsity` is removed; at least one multiple."""
        if not sparsity:
            return self.size
        wanted = self.size * (1.0 - sparsity) / self.multiple
        return min(self.size, max(1, int(wanted + 0.5)) * self.multiple)


@dataclass(frozen=True)
class Signature:
    """An operator, its options and its place, down to realised sizes.

    Attributes:
        operator: File name of the operator, stem, downsampling or head.
        shape: Where it sits.
        pick: The options it reads, normalised, with what follows from them (window size, ...).
        kept: Prunable groups and how many of each remain.
        precision: Name of the format of its numbers, such as "int8".
        pattern: Name of the sparsity pattern of its weights, such as "two-of-four".
        rank: Share of the full rank that its layers have, such as "1/2" (`_rank.py`).
    """

    operator: str
    shape: Shape
    pick: Options
    kept: Options
    precision: str
    pattern: str = DENSE
    rank: str = FULL_RANK


Join = Literal["sum", "concatenation", "tokens"]
"""How the maps of several slots become one: of equal shapes added, channels side by side, or, of
maps of any sizes, positions one after the other: a map of one column."""


@dataclass(frozen=True)
class Slot:
    """A named place of a network, what fills it and what feeds it.

    Attributes:
        name: Dotted, such as "stage2.block1".
        signature: What fills it.
        inputs: Names of the slots that it reads; "" is the image, None the slot before.
        join: How several inputs become one.
    """

    name: str
    signature: Signature
    inputs: tuple[str, ...] | None = None
    join: Join = "sum"

    @property
    def num_inputs(self) -> int:
        """How many maps it reads."""
        return 1 if self.inputs is None else len(self.inputs)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Slot":
        """Itself: it never changes, and networks that are copied have many."""
        return self

    def to_json(self) -> dict[str, Any]:
        """Everything `from_json` needs."""
        signature = self.signature
        feeds = {} if self.inputs is None else {"inputs": list(self.inputs), "join": self.join}
        return {
            "name": self.name,
            "operator": signature.operator,
            "shape": signature.shape.to_json(),
            "pick": dict(signature.pick),
            "kept": dict(signature.kept),
            "precision": signature.precision,
            **({} if signature.pattern == DENSE else {"pattern": signature.pattern}),
            **({} if signature.rank == FULL_RANK else {"rank": signature.rank}),
            **feeds,
        }

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> "Slot":
        """The inverse of `to_json`."""
        signature = Signature(
            document["operator"],
            Shape.from_json(document["shape"]),
            Options(document["pick"]),
            Options(document["kept"]),
            document["precision"],
            document.get("pattern", DENSE),
            document.get("rank", FULL_RANK),
        )
        if "inputs" not in document:
            return Slot(document["name"], signature)
        return Slot(document["name"], signature, tuple(document["inputs"]), document["join"])


class Cost(NamedTuple):
    """What a slot costs. Adds up over slots; a tuple, because spaces make 100,000 of them.

    Multiply-adds are those of a network as deployed. They are counted for convolutions, linear
    layers and the two attention products, as in the papers and in fvcore; norms, activations and
    biases are not counted.

    Attributes:
        dense: Multiply-adds of ordinary convolutions and linear layers.
        depthwise: Multiply-adds of depthwise convolutions.
        attention: Multiply-adds of query-key and attention-value products, and of others that a
            format leaves in fp32: sums over neighbours with weights of each position.
        params: Parameters as trained, batch norm's two per channel included.
        weights: Values that a format with fewer bits stores in them: kernels and matrices.
        vectors: Values that stay in four bytes once batch norm is folded: biases, norms, tables.
        channels: Output channels of all weights: one scale each where weights are integers.
        elements: Activation values written by all kernels.
        calls: Kernels launched.
        layers: Convolutions and linear layers, whose weights a format may store in fewer bits.
        matrices: Of these, linear layers.
        matrix_macs: Of `dense`, theirs.
        matrix_weights: Of `weights`, theirs.
        matrix_channels: Of `channels`, theirs.
        grouped: Of `weights`, those of layers whose inputs are whole groups of `PATTERN_GROUP`.
        matrix_grouped: Of these, those of linear layers.
        grouped_macs: Multiply-adds with `grouped`.
        blocked: Of `weights`, those of linear layers that are whole blocks (`_blocks.py`).
        blocked_macs: Multiply-adds with `blocked`.
        matrix_groups: Rows of `GROUP_SIZE` neighbouring inputs that their weights are cut into, the
            last one of an output perhaps shorter: one scale each where weights have few bits.
        quantizers: Values besides the outputs of `layers` that integers are made of where `layers`
            compute with integers.
        graph_bytes: Of a file, what is no value: nodes (about 30 each), names, shapes of tensors.
        reused_layers: Uses of `layers` but their first, where a slot uses weights several times.
        reused_channels: Their output channels: with integers an integer bias each and its scale,
            because what a layer reads has another range each time.
    """

    dense: int = 0
    depthwise: int = 0
    attention: int = 0
    params: int = 0
    weights: int = 0
    vectors: int = 0
    channels: int = 0
    elements: int = 0
    calls: int = 0
    layers: int = 0
    matrices: int = 0
    matrix_macs: int = 0
    matrix_weights: int = 0
    matrix_channels: int = 0
    grouped: int = 0
    matrix_grouped: int = 0
    grouped_macs: int = 0
    blocked: int = 0
    blocked_macs: int = 0
    matrix_groups: int = 0
    quantizers: int = 0
    graph_bytes: int = 0
    reused_layers: int = 0
    reused_channels: int = 0

    def __add__(self, other: "Cost") -> "Cost":  # type: ignore[override]
        return Cost._make(map(operator.add, self, other))

    @property
    def macs(self) -> int:
        """All multiply-adds."""
        return self.dense + self.depthwise + self.attention

    @property
    def but_matrices(self) -> "Cost":
        """What is stored besides the weights of linear layers."""
        return self._replace(
            weights=self.weights - self.matrix_weights,
            channels=self.channels - self.matrix_channels,
            layers=self.layers - self.matrices,
            matrices=0,
            matrix_macs=0,
            matrix_weights=0,
            matrix_channels=0,
            grouped=self.grouped - self.matrix_grouped,
            matrix_grouped=0,
            blocked=0,
            matrix_groups=0,
        )
