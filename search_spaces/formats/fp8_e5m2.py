"""Floating-point numbers of 8 bits, E5M2: five bits of exponent, two of mantissa, up to 57344."""

from typing import final

from search_spaces.formats._base import FORMATS
from search_spaces.formats._small_floats import AbstractSmallFloats


@final
@FORMATS.register
class FP8E5M2(AbstractSmallFloats):
    """Weights and activations; a half-precision number without its last eight bits."""
