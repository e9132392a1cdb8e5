"""The contract of a format's declaration: how many bits numbers have, and what a slot weighs.

`compress/quantize/` has the implementations, under the same names.
"""

from abc import ABC, abstractmethod
from functools import cache
from typing import ClassVar

from search_spaces._registry import Registry
from search_spaces._slot import Cost

TRAINED_BITS = 32

MOST_INTEGER_BITS = 8
"""Activations of more bits are floating-point numbers."""

UNIT_BITS = 16
"""Of both numbers that one bit operation multiplies: a multiply-add in bf16."""


class AbstractFormat(ABC):
    """A format of numbers, the `precision` of a policy. Plug-ins have no state.

    Formats that do the same in a slot are one option there (`precision_here`): those that leave
    values in floating point change nothing where there are no layers.
    """

    weight_bits: ClassVar[int]
    """Bits of kernels and matrices."""

    activation_bits: ClassVar[int]
    """Bits of what is multiplied with them."""

    is_integer: ClassVar[bool]
    """Whether values between layers are integers: layers take them on a grid and give such."""

    is_floating: ClassVar[bool] = False
    """Whether numbers of few bits are floating-point numbers, which layers round to and multiply in
    fp32: there are no kernels for them."""

    convolutions: ClassVar[str | None] = None
    """Name of the format that convolutions have instead; None if they have this one."""

    kernels: ClassVar[frozenset[str]]
    """Kinds of kernels that a target must have, such as "float32" and "int8"."""

    @property
    def bits(self) -> tuple[int, int, int, int]:
        """Of weights and activations in linear layers, then in convolutions."""
        other = self if self.convolutions is None else format_of(self.convolutions)
        return self.weight_bits, self.activation_bits, other.weight_bits, other.activation_bits

    @property
    def multiplies_integers(self) -> bool:
        """Whether layers multiply integers, whatever values between them are."""
        return self.activation_bits <= MOST_INTEGER_BITS and not self.is_floating

    @property
    def is_quantized(self) -> bool:
        """Whether any number has fewer bits than trained weights."""
        return min(self.weight_bits, self.activation_bits) < TRAINED_BITS

    def bit_ops(self, cost: Cost) -> float:
        """Multiply-adds of one slot, each times the relative cost of the bits it multiplies.

        Linear in bits: 2 in fp32, 1 in bf16, 1/2 in int8, 1/4 in int4. Products of activations, as
        in attention, are in fp32 in every format.

        Source: Abdolrashidi et al., Pareto-Optimal Quantized ResNet Is Mostly 4-bit (2021). They
        multiply numbers of equal bits only; where weights have fewer than activations, we take the
        mean of both (docs/decisions/0070).
        """
        weights, activations, of_convolutions, read_by_convolutions = self.bits
        matrices, convolutions = cost.matrix_macs, cost.dense + cost.depthwise - cost.matrix_macs
        return (
            matrices * relative_cost(weights, activations)
            + convolutions * relative_cost(of_convolutions, read_by_convolutions)
            + cost.attention * relative_cost(TRAINED_BITS, TRAINED_BITS)
        )

    @abstractmethod
    def size_bytes(self, cost: Cost) -> float:
        """Predicted bytes of one slot in an exported file."""


def relative_cost(one: int, other: int) -> float:
    """Of multiplying numbers of so many bits, in multiply-adds of `UNIT_BITS`."""
    return (one + other) / (2 * UNIT_BITS)


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
