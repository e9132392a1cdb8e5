"""Which values of a file were learnt: these are trained further, all others stay as they are.

A file has weights, masks, positions and constants alike, as arrays. What torch's newer exporter
calls a parameter was learnt. Where nothing is said, an initializer of several reals was learnt if

1. a layer reads it as its weights, perhaps behind nodes that no image reaches; or it scales or
   shifts, along one axis, what a layer gives;
2. or what a layer has given meets it, it has the name of something in a module, such as
   "positions" or "blocks.0.table", and its numbers are none that a formula makes: they are no whole
   numbers, and at least half of them differ.

So it was not if it is written into a node, was computed and numbered by an exporter, or is what
images meet before the first layer, as their normalisation.
"""

import re
from collections.abc import Iterable, Mapping

import numpy as np
import onnx

WEIGHTS: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(("Conv", "ConvTranspose"), (1, 2)),
    **{"Gemm": (0, 1, 2), "MatMul": (0, 1), "Einsum": (0, 1), "PRelu": (1,)},
    **dict.fromkeys(("LayerNormalization", "InstanceNormalization", "GroupNormalization"), (1, 2)),
    "BatchNormalization": (1, 2, 3, 4),
}
"""Layers, and which of their inputs are weights."""

STATISTICS: Mapping[str, tuple[int, ...]] = {"BatchNormalization": (3, 4)}
"""Inputs that are no parameters, and yet no constants."""

AFFINE = frozenset({"Mul", "Div", "Add", "Sub"})
MOVES = frozenset(
    {"Identity", "Dropout", "Cast", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"}
)
SIZES = frozenset({"Shape", "Size"})
"""Operators that look at no value."""

NUMBERED = re.compile(
    r"onnx::\w+|val_\d+|\d+|.*const.*|_?tensor_constant\d+|lifted_tensor_\d+", re.IGNORECASE
)
"""Names that exporters give to what they computed."""

KIND, PARAMETER = "pkg.torch.export.graph_signature.InputSpec.kind", "PARAMETER"


def learnt_in(graph: onnx.GraphProto, arrays: Mapping[str, np.ndarray]) -> set[str]:
    """Names of the arrays that were learnt, by the rule at the top of this module.

    Args:
        graph: Of a file with one input.
        arrays: Its initializers of several reals.
    """
    initial = {tensor.name for tensor in graph.initializer}
    found = _Reading(arrays, {each.name for each in graph.input} - initial)
    for node in graph.node:
        found.read(node)
    kinds = _kinds_of(graph)
    by_name = {name for name in found.met if _is_named(name) and not _is_made(arrays[name])}
    guessed = {name for name in found.weights | by_name if name not in kinds}
    said = {name for name in arrays if kinds.get(name) == PARAMETER}
    return guessed | said | found.statistics


def _kinds_of(graph: onnx.GraphProto) -> dict[str, str]:
    """What torch's newer exporter says values are, by their names."""
    return {
        info.name: entry.value
        for info in graph.value_info
        for entry in info.metadata_props
        if entry.key == KIND
    }


class _Reading:
    """What reads arrays, node after node.

    Attributes:
        weights: Arrays that layers read as weights, or that scale or shift what they give.
        statistics: Arrays of `STATISTICS`.
        met: Other arrays that meet what a layer has given.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], images: set[str]) -> None:
        self.weights: set[str] = set()
        self.statistics: set[str] = set()
        self.met: set[str] = set()
        self._vectors = {n for n, array in arrays.items() if max(array.shape) == array.size}
        self._made_of = {name: {name} for name in arrays}
        self._of_images = images
        self._behind_layers: set[str] = set()
        self._of_layers: set[str] = set()

    def read(self, node: onnx.NodeProto) -> None:
        """Sees what one node reads."""
        given = [name for name in node.input if name in self._of_images]
        if not given or node.op_type in SIZES:
            made_of = set() if given else self._sources(node.input)
            self._made_of |= dict.fromkeys(node.output, made_of)
            return
        is_layer = any(name in self._made_of for name in _at(node, WEIGHTS))
        weights = self._sources(_at(node, WEIGHTS))
        constants = self._sources(node.input) - weights
        is_of_layer = any(name in self._of_layers for name in given)
        is_affine = node.op_type in AFFINE and is_of_layer
        is_behind = is_layer or any(name in self._behind_layers for name in given)
        self.weights |= weights
        self.statistics |= self._sources(_at(node, STATISTICS))
        if is_affine and constants <= self._vectors:
            self.weights |= constants
        elif is_behind:
            self.met |= constants
        self._of_images |= set(node.output)
        if is_behind:
            self._behind_layers |= set(node.output)
        is_moved = node.op_type in MOVES and is_of_layer
        is_norm = node.op_type == "Div" and len(given) > 1  # spelled out
        if is_layer or is_affine or is_moved or is_norm:
            self._of_layers |= set(node.output)

    def _sources(self, names: Iterable[str]) -> set[str]:
        """The arrays that values are made of."""
        return set().union(*(self._made_of.get(name, ()) for name in names))


def _at(node: onnx.NodeProto, places: Mapping[str, tuple[int, ...]]) -> list[str]:
    """What a node reads at the places of its operator."""
    return [node.input[i] for i in places.get(node.op_type, ()) if i < len(node.input)]


def _is_named(name: str) -> bool:
    return not NUMBERED.fullmatch(name)


def _is_made(array: np.ndarray) -> bool:
    """Whether a formula made an array; of one with equal numbers, as before training, none did."""
    values = np.unique(array)
    is_whole = bool((values == np.rint(values)).all())
    return len(values) > 1 and (is_whole or 2 * len(values) < array.size)
