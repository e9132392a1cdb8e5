"""Eight-bit integers: kernels and matrices in one byte with a scale per output channel, biases in
four bytes with a scale of their own, activations in one byte.
"""

from typing import ClassVar, final

from search_spaces._slot import Cost
from search_spaces.formats._base import FORMATS, AbstractFormat

LAYER_BYTES, QUANTIZER_BYTES = 230, 98
"""Nodes that make numbers of weights and biases and integers of the output, and those of another
value; with the headers of scales and zero points. Measured."""

CHANNEL_BYTES = 8
"""Scales of weight and bias, four bytes each. Zero points are shared by layers of one width."""


@final
@FORMATS.register
class Int8(AbstractFormat):
    """Norms, softmax and attention products stay in fp32."""

    weight_bits: ClassVar[int] = 8
    activation_bits: ClassVar[int] = 8
    is_integer: ClassVar[bool] = True
    kernels: ClassVar[frozenset[str]] = frozenset({"float32", "int8"})

    def size_bytes(self, cost: Cost) -> float:
        """A byte per weight, four per other value, scales per channel, and the graph."""
        layers = cost.layers + cost.reused_layers
        channels = cost.channels + cost.reused_channels
        graph = cost.graph_bytes + LAYER_BYTES * layers + QUANTIZER_BYTES * cost.quantizers
        return cost.weights + 4 * cost.vectors + CHANNEL_BYTES * channels + graph
