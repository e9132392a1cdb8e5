"""Four-bit weights: matrices in half a byte per value, with a scale for every 32 inputs of an
output. Convolutions have eight-bit weights, biases four bytes.
"""

from typing import ClassVar, final

from search_spaces._slot import GROUP_SIZE, Cost
from search_spaces.formats._base import FORMATS, AbstractFormat, format_of

MATRIX_BYTES = 40
"""Attributes and domain of the node, less the nodes that it spares. Measured."""

GROUP_BYTES = GROUP_SIZE // 2 + 4
"""Of a group: two weights per byte, and its scale. Groups are full in the file."""


@final
@FORMATS.register
class Int4Weights(AbstractFormat):
    """The runtime unpacks weights while it multiplies, in fp32."""

    weight_bits: ClassVar[int] = 4
    activation_bits: ClassVar[int] = 32
    is_integer: ClassVar[bool] = False
    convolutions: ClassVar[str | None] = "int8w"
    kernels: ClassVar[frozenset[str]] = frozenset({"float32", "int4"})

    def size_bytes(self, cost: Cost) -> float:
        """Of linear layers half a byte per weight and a scale per group; all else as `int8w`."""
        matrices = GROUP_BYTES * cost.matrix_groups + MATRIX_BYTES * cost.matrices
        return matrices + format_of("int8w").size_bytes(cost.but_matrices)
