"""From 16-bit and float values to bytes: black and white are those of the data set, not an image's.

- 16-bit values become rint(v / 257), unless training images need no more than 14 bits, as those of
  cameras of 10, 12 and 14 bits: then the largest one is white. 32-bit whole numbers are taken as
  16-bit ones.
- Floats: 0 is black, and white is 1 or 255, whichever training images do not exceed. If they go
  below 0 or above 255, their smallest value is black and their largest one white.

What lies beyond, which only other images can have, is black or white. Where no rule was decided,
because training images had no floats, those of an image are fractions of white, or, if one is above
1, out of 255.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.data._base import Ranges, UInt8Array

WHOLE, FLOAT = "16-bit", "float"
"""Kinds of values, as ranges name them."""

Values = npt.NDArray[Any]

SIXTEEN_BITS = 65535
CAMERA_BITS = (10, 12, 14)
"""Depths of cameras, which write their values into files of 16 bits."""

FLOAT_WHITES = (1.0, 255.0)


def eight_bit(values: Values, kind: str, ranges: Ranges) -> UInt8Array:
    """Bytes by the rule at the top of this module; Pillow's own conversion clips.

    Args:
        values: Of one image, in any shape.
        kind: Of these values.
        ranges: As `range_of` decided for the kinds that training images had.

    Raises:
        ValueError: If they are none of this kind.
    """
    low, high = ends(values, kind)
    if kind in ranges:
        black, white = ranges[kind]
    elif kind == WHOLE:
        black, white = 0, SIXTEEN_BITS
    else:
        black, white = 0, 1 if high <= 1 else 255
        if not 0 <= low <= high <= white:
            raise ValueError(f"its float values go from {low:g} to {high:g}, beyond 0 to 255")
    within = values.clip(black, white) - black
    return np.rint(within * (255 / (white - black))).astype(np.uint8)


def ends(values: Values, kind: str) -> tuple[float, float]:
    """The smallest and the largest value of an image.

    Raises:
        ValueError: If they are not finite, or beyond 16 bits.
    """
    low, high = float(values.min()), float(values.max())
    if not math.isfinite(low) or not math.isfinite(high):
        raise ValueError(f"its float values go from {low:g} to {high:g}, not finite")
    if kind == WHOLE and not 0 <= low <= high <= SIXTEEN_BITS:
        raise ValueError(f"its values go from {low:g} to {high:g}, beyond 0 to {SIXTEEN_BITS}")
    return low, high


def range_of(kind: str, low: float, high: float) -> tuple[float, float] | None:
    """Black and white of a data set; None for the usual ones of 16 bits.

    Args:
        kind: Of the values.
        low: The smallest value of all training images.
        high: The largest one.
    """
    if kind == WHOLE:
        return (0.0, high) if high > 0 and _camera_bits(high) else None
    if low >= 0 and high <= FLOAT_WHITES[-1]:
        return 0.0, next(white for white in FLOAT_WHITES if high <= white)
    return low, high if high > low else low + 1


def in_words(ranges: Ranges) -> str:
    """What becomes of the kinds of values for which something was decided."""
    return "; ".join(
        f"{values_in_words(kind, white)} from {black:.9g} to {white:.9g} become 0 to 255"
        for kind, (black, white) in ranges.items()
    )


def values_in_words(kind: str, white: float) -> str:
    """What values of a kind are called whose white was decided."""
    bits = _camera_bits(white) if kind == WHOLE else 0
    return f"{kind} values of {bits} bits" if bits else f"{kind} values"


def _camera_bits(high: float) -> int:
    """The fewest bits of a camera that hold a value; 0 if all are too few."""
    return next((bits for bits in CAMERA_BITS if high < 1 << bits), 0)


def read_ranges(document: object) -> Ranges:
    """Ranges as JSON has them.

    Raises:
        ValueError: If they are none.
    """
    if not isinstance(document, Mapping):
        raise ValueError(f"it is {document!r:.40}, not a table")
    ranges = {}
    for kind, pair in document.items():
        is_pair = isinstance(pair, list | tuple) and len(pair) == 2
        if not is_pair or not all(type(v) in (int, float) and math.isfinite(v) for v in pair):
            raise ValueError(f"'{kind}' is {pair!r:.40}, not two numbers, black and white")
        black, white = map(float, pair)
        if kind not in (WHOLE, FLOAT) or not black < white:
            raise ValueError(
                f"'{kind}' is {pair!r:.40}; known are {WHOLE} and {FLOAT}, black < white"
            )
        ranges[kind] = (black, white)
    return ranges
