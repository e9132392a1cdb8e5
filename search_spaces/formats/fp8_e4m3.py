"""Floating-point numbers of 8 bits, E4M3: four bits of exponent, three of mantissa, up to 448."""

from typing import final

from search_spaces.formats._base import FORMATS
from search_spaces.formats._small_floats import AbstractSmallFloats


@final
@FORMATS.register
class FP8E4M3(AbstractSmallFloats):
    """Weights and activations; without infinities."""
