"""Eight-bit weights only: kernels and matrices in one byte with a scale per output channel;
biases and activations in fp32. A smaller file that computes as fp32 does.
"""

from typing import ClassVar, final

from search_spaces._slot import Cost
from search_spaces.formats._base import FORMATS, AbstractFormat

LAYER_BYTES = 71
"""The two nodes that make numbers of weights, and the header of their scales. Measured."""

CHANNEL_BYTES = 4
"""The weight's scale, per output channel."""


@final
@FORMATS.register
class Int8Weights(AbstractFormat):
    """The runtime dequantizes weights when it loads the file, and multiplies in fp32."""

    weight_bits: ClassVar[int] = 8
    activation_bits: ClassVar[int] = 32
    is_integer: ClassVar[bool] = False
    kernels: ClassVar[frozenset[str]] = frozenset({"float32"})

    def size_bytes(self, cost: Cost) -> float:
        """A byte per weight, four per other value, a scale per channel, and the graph."""
        graph = cost.graph_bytes + LAYER_BYTES * cost.layers
        return cost.weights + 4 * cost.vectors + CHANNEL_BYTES * cost.channels + graph
