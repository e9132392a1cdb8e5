"""Full precision: every value in four bytes, as trained."""

from typing import ClassVar, final

from search_spaces._slot import Cost
from search_spaces.formats._base import FORMATS, AbstractFormat


@final
@FORMATS.register
class FP32(AbstractFormat):
    """IEEE 754 single precision."""

    weight_bits: ClassVar[int] = 32
    activation_bits: ClassVar[int] = 32
    is_integer: ClassVar[bool] = False
    kernels: ClassVar[frozenset[str]] = frozenset({"float32"})

    def size_bytes(self, cost: Cost) -> float:
        """Four bytes per value, and the graph."""
        return 4 * (cost.weights + cost.vectors) + cost.graph_bytes
