"""SGConv: long kernels of a few pieces, each stretched to twice the length of the one before.

Source: Li et al., What Makes Convolutional Models Great on Long Sequence Modeling? (2022), section
3: pieces have the same number of parameters, are interpolated linearly and multiplied by a decay,
so that parameters grow with the logarithm of the length and magnitudes fall with the distance.
Departures: columns and rows of a map, one after the other, in place of a sequence (`_long.py`); the
skip connection is the tap at distance 0, and pieces begin at 1; the kernel begins small instead of
being divided by its first norm, which the members of a supernet would have to share; the last piece
ends where the map does; the slot's channel part follows instead of activation and linear layer.
"""

from typing import final

from search_spaces._choice import Options
from search_spaces._slot import Shape
from search_spaces.operators._base import OPERATORS
from search_spaces.operators._long import AbstractLongMixer

PIECE = 2
"""Parameters of a piece, and taps of the first two."""

DECAY = 0.5
"""By which every piece is multiplied once more than the one before."""

SIDES = ("vertical_pieces", "horizontal_pieces")
"""What a pick says of the kernels of columns and of rows."""


@final
@OPERATORS.register
class SGConv(AbstractLongMixer):
    """Long kernels of stretched pieces with decay."""

    def kernel_pick(self, pick: Options, shape: Shape) -> Options:
        """Adds the number of pieces of both kernels, which follows from the map."""
        pieces = (len(piece_lengths(side)) for side in shape.size)
        return Options(dict(zip(SIDES, pieces, strict=True)))

    def kernel_params(self, pick: Options, side: int) -> int:
        """`PIECE` for every piece of both directions, and the skip connection."""
        return 2 * PIECE * len(piece_lengths(side)) + 1


def piece_lengths(side: int) -> list[int]:
    """Taps of the pieces at distances from 1 to side - 1: 2, 2, 4, 8, ..., the last as it fits.

    None has fewer taps than parameters.
    """
    lengths, wanted, rest = [PIECE], PIECE, side - 1 - PIECE
    while rest >= PIECE:
        lengths.append(min(wanted, rest))
        rest -= lengths[-1]
        wanted *= 2
    lengths[-1] += rest
    return lengths
