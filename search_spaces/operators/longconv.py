"""Simple long convolutions: every tap of a long kernel is learnt, and kept small or smooth.

Source: Fu et al., Simple Hardware-Efficient Long Convolutions for Sequence Modeling (2023), section
3: taps are moved towards 0 by a threshold and are 0 below it ("squash"), or the kernel is averaged
over neighbouring taps ("smooth"). Departures: columns and rows of a map, one after the other, in
place of a sequence (`_long.py`); the tap at distance 0 is the skip connection; a smaller map has
the centre of a larger one's kernel; gradients pass the threshold as if it were not there, or taps
below it would never return; no dropout of taps, no smoothing of frequencies; the slot's channel
part follows instead of activation and linear layer.
"""

from collections.abc import Mapping
from typing import ClassVar, final

from search_spaces._choice import Option, Options
from search_spaces._registry import Registry
from search_spaces._slot import Shape
from search_spaces.operators._base import OPERATORS
from search_spaces.operators._long import AbstractLongMixer, num_taps

THRESHOLD = 0.003
"""Of squashing; in the paper a setting of about this size."""

SMOOTHED_TAPS = 3
"""Neighbours that smoothing averages, the tap among them."""

SIDES = ("vertical_taps", "horizontal_taps")
"""What a pick says of the kernels of columns and of rows."""


@final
@OPERATORS.register
class LongConv(AbstractLongMixer):
    """Long kernels of free taps."""

    mixer_dims: ClassVar[tuple[str, ...]] = ("regulariser",)
    defaults: ClassVar[Mapping[str, Option]] = {"regulariser": "squash"}
    words: ClassVar[Mapping[str, tuple[str, ...] | Registry]] = {
        "regulariser": ("squash", "smooth", "none")
    }

    def kernel_pick(self, pick: Options, shape: Shape) -> Options:
        """Adds the number of taps of both kernels, which follows from the map."""
        taps = dict(zip(SIDES, map(num_taps, shape.size), strict=True))
        return Options({"regulariser": pick["regulariser"], **taps})

    def kernel_params(self, pick: Options, side: int) -> int:
        """As many as taps."""
        return num_taps(side)
