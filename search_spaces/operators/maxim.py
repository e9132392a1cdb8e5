"""MAXIM's multi-axis gated MLP: half of the channels is mixed in blocks, the other across a grid.

Source: Tu et al., MAXIM: Multi-Axis MLP for Image Processing (2022), section 3.2: a projection
to twice the channels and GELU, a gated MLP for each half, one across the positions of a block, one
across positions that lie a block apart, and a projection back. Departures: blocks and grid follow
from the map, which is padded with zeros where they do not divide it; the gates' channels can be
pruned, those of either half alone; the slot's channel part follows instead of channel attention.
"""

import math
from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._resolution import window_side
from search_spaces._sides import Sides, written_sides
from search_spaces._slot import HIDDEN_MULTIPLE, Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractMixer, Mixing

HALVES = ("block", "grid")
"""Groups of gates, by which positions they mix."""

LONGEST = 8
"""Side of a block, where none divides the map."""

PADDING_NODES = 30
"""Of a file where the map is padded: the exporter writes out how."""


@final
@OPERATORS.register
class Maxim(AbstractMixer):
    """Gated MLPs across blocks and across a grid, side by side."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("mixer",)
    mixer_dims: ClassVar[tuple[str, ...]] = ()

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Adds the sides of a block, which are those of the grid, too."""
        rows, columns = map(_block_side, shape.size)
        return Options({"block_size": written_sides((rows, columns))})

    def mixer_groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """The gates' channels in either half."""
        return {half: Group(shape.width, HIDDEN_MULTIPLE) for half in HALVES}

    def mixer_cost(self, signature: Signature) -> Cost:
        """Of either half 3 * pixels * width * gated + padded pixels * gated * pixels of a block.

        And 4 * pixels * width ** 2 of the projections around both: multiply-adds.
        """
        shape = signature.shape
        n, width = shape.pixels, shape.width
        cost = (
            layers.layer_norm(n, width)
            + layers.linear(n, width, 2 * width)
            + layers.pointwise(n, 2 * width, calls=3, quantizers=2)
            + layers.linear(n, 2 * width, width)
        )
        for half in HALVES:
            cost += _gated_mlp(signature, signature.kept.number(half))
        return cost


def padded_size(size: Sides, block: Sides) -> Sides:
    """Of the map as blocks divide it."""
    rows, columns = (-(-side // part) * part for side, part in zip(size, block, strict=True))
    return rows, columns


def _block_side(side: int) -> int:
    """That of attention windows if several of them are the map, and else as few blocks as can be.

    At least two, and none longer than `LONGEST`. Then the padding is narrower than a grid's lines
    are apart, so that each of its positions is one of the map's somewhere.
    """
    window = window_side(side)
    if window < side and side % window == 0:
        return window
    return -(-side // max(2, -(-side // LONGEST)))


def _gated_mlp(signature: Signature, gated: int) -> Cost:
    """Norm, expansion, gate across positions, projection, shortcut."""
    shape, block = signature.shape, signature.pick.sides("block_size")
    n, width, padded = shape.pixels, shape.width, padded_size(shape.size, block)
    tokens = math.prod(block)
    is_padded = padded != shape.size
    return (
        layers.layer_norm(n, width)
        + layers.linear(n, width, 2 * gated)
        + layers.pointwise(n, 2 * gated, calls=2, quantizers=1)
        + layers.layer_norm(n, gated)
        + layers.pointwise(n, gated, calls=6 + 2 * is_padded, quantizers=2)
        + layers.linear(math.prod(padded) // tokens * gated, tokens, tokens)
        + layers.nodes(PADDING_NODES if is_padded else 4)
        + layers.linear(n, gated, width)
        + layers.pointwise(n, width)
    )
