"""Eight-bit integers: kernels and matrices in one byte with a scale per output channel, biases in
four bytes with a scale of their own, activations in one byte.
"""

from typing import ClassVar, final

from search_spaces._slot import Cost
from search_spaces.formats._base import FORMATS, AbstractFormat

CALL_BYTES = 420
"""Graph bytes per kernel launched: its node, names and (de)quantizers. Measured."""

CHANNEL_BYTES = 9
"""Scale and zero point of the weight, scale of the bias: 4 + 1 + 4 bytes per output channel."""


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
        graph = CALL_BYTES * cost.calls
        return cost.weights + 4 * cost.vectors + CHANNEL_BYTES * cost.channels + graph
