"""Eight-bit integers made at run time: matrices in one byte with a scale per output channel, and
what they are multiplied with in one byte with a scale per tensor, found in each call. Convolutions
have eight-bit weights only.
"""

from typing import ClassVar, final

from search_spaces._slot import Cost
from search_spaces.formats._base import FORMATS, AbstractFormat, format_of

MATRIX_BYTES = 108
"""The nodes that make integers and numbers again, and the header of the scales. Measured."""

CHANNEL_BYTES = 4
"""The weight's scale, per output channel."""


@final
@FORMATS.register
class Int8Dynamic(AbstractFormat):
    """Nothing is calibrated; the runtime quantizes what linear layers read."""

    weight_bits: ClassVar[int] = 8
    activation_bits: ClassVar[int] = 8
    is_integer: ClassVar[bool] = False
    convolutions: ClassVar[str | None] = "int8w"
    kernels: ClassVar[frozenset[str]] = frozenset({"float32", "int8-dynamic"})

    def size_bytes(self, cost: Cost) -> float:
        """As `int8w`, but for the nodes of linear layers."""
        matrices = cost.matrix_weights + CHANNEL_BYTES * cost.matrix_channels
        nodes = MATRIX_BYTES * cost.matrices
        return matrices + nodes + format_of("int8w").size_bytes(cost.but_matrices)
