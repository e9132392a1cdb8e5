"""Attention inside of blocks whose queries also see a halo of positions around their block.

Source: Vaswani et al., Scaling Local Self-Attention for Parameter Efficient Visual Backbones
(2021), section 3: b * b queries share the (b + 2 h) * (b + 2 h) positions around them. Departures:
b follows the map by the rule of `window`'s windows, and the last block is moved back where it does
not divide the map; the halo is elastic, and none is left where a block spans the map; positions
beyond the border are not seen, instead of zeros; the bias of a position is learnt for its offset,
as in `window`, instead of a product of queries with embeddings; heads are elastic at a fixed size;
downsampling is a slot of its own.
"""

from collections.abc import Mapping
from typing import ClassVar, final

from search_spaces._blocked import BlockedSide, tiles
from search_spaces._choice import Option, Options
from search_spaces._resolution import window_size
from search_spaces._sides import Sides, written_sides
from search_spaces._slot import Shape
from search_spaces.operators._base import OPERATORS
from search_spaces.operators._blocked import AbstractBlockedAttention


@final
@OPERATORS.register
class Halo(AbstractBlockedAttention):
    """Attention of a block's positions to the block and its halo."""

    mixer_dims: ClassVar[tuple[str, ...]] = ("num_heads", "halo")
    defaults: ClassVar[Mapping[str, Option]] = {"halo": 3}

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Adds the block's sides; the halo is what some block has of it."""
        block = window_size(shape.size)
        halos = (
            _halo(pick.number("halo"), side, part)
            for side, part in zip(shape.size, block, strict=True)
        )
        return Options(
            {
                "num_heads": pick["num_heads"],
                "halo": max(halos),
                "head_dim": shape.head_dim,
                "window_size": written_sides(block),
            }
        )

    def blocked(self, pick: Options, size: Sides) -> tuple[BlockedSide, BlockedSide]:
        """Blocks of a window's sides."""
        rows, columns = (
            tiles(side, part, _halo(pick.number("halo"), side, part))
            for side, part in zip(size, pick.sides("window_size"), strict=True)
        )
        return rows, columns


def _halo(halo: int, side: int, part: int) -> int:
    """What some block of this side has of a halo."""
    return min(halo, side - part)
