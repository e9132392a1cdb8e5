"""What formats of small floating-point numbers have in common: weights in a byte each with a scale
per output channel, and what they are multiplied with in a byte, without a scale.
"""

from typing import ClassVar

from search_spaces._slot import Cost
from search_spaces.formats._base import AbstractFormat

LAYER_BYTES = 140
"""The nodes that make numbers of weights and round what the layer reads, and the header of the
scales. Measured."""

CHANNEL_BYTES = 4
"""The weight's scale, per output channel."""


class AbstractSmallFloats(AbstractFormat):
    """Eight bits: what is multiplied is rounded to them, and multiplied in fp32."""

    weight_bits: ClassVar[int] = 8
    activation_bits: ClassVar[int] = 8
    is_integer: ClassVar[bool] = False
    is_floating: ClassVar[bool] = True
    kernels: ClassVar[frozenset[str]] = frozenset({"float32", "float8"})

    def size_bytes(self, cost: Cost) -> float:
        """A byte per weight, four per other value, a scale per channel, and the graph."""
        graph = cost.graph_bytes + LAYER_BYTES * cost.layers
        return cost.weights + 4 * cost.vectors + CHANNEL_BYTES * cost.channels + graph
