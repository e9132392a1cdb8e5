"""The contract of a format's declaration: how many bits numbers have, and what a slot weighs.

`compress/quantize/` has the implementations, under the same names.
"""

from abc import ABC, abstractmethod
from functools import cache
from typing import ClassVar

from search_spaces._registry import Registry
from search_spaces._slot import Cost

TRAINED_BITS = 32


class AbstractFormat(ABC):
    """A format of numbers, the `precision` of a policy. Plug-ins have no state."""

    weight_bits: ClassVar[int]
    """Bits of kernels and matrices."""

    activation_bits: ClassVar[int]
    """Bits of what is multiplied with them; the product is bit operations per multiply-add."""

    is_integer: ClassVar[bool]
    """Whether integers are multiplied: layers take values on an integer grid and give such."""

    kernels: ClassVar[frozenset[str]]
    """Kinds of kernels that a target must have, such as "float32" and "int8"."""

    @property
    def is_quantized(self) -> bool:
        """Whether any number has fewer bits than trained weights."""
        return min(self.weight_bits, self.activation_bits) < TRAINED_BITS

    @abstractmethod
    def size_bytes(self, cost: Cost) -> float:
        """Predicted bytes of one slot in an exported file."""


FORMATS = Registry("search_spaces.formats", "precision", AbstractFormat)


@cache
def format_of(name: str) -> AbstractFormat:
    """The declaration of a named format.

    Raises:
        UserError: If there is no such format.
    """
    found = FORMATS.get(name)()
    assert isinstance(found, AbstractFormat)
    return found
