"""Attention inside of horizontal stripes by half of the heads, of vertical ones by the others.

Source: Dong et al., CSWin Transformer: A General Vision Transformer Backbone with Cross-Shaped
Windows (2022), section 3: stripes of `stripe_width` positions, which do not overlap; behind the
attention a depthwise 3x3 convolution of the values is added, the locally enhanced positional
encoding (LePE). Departures: heads are elastic at a fixed size, come in pairs of a horizontal and a
vertical one, and are pruned so; a number of them that is odd is rounded up; a stripe's width is
lowered to what divides the side; the convolution is of the whole map, where the authors' code has
one inside of every stripe, whose outer taps a stripe of one position never uses; stripes are part
of an option and not of the stage.
"""

from collections.abc import Mapping
from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._blocked import BlockedSide, tiles
from search_spaces._choice import Option, Options
from search_spaces._sides import Sides, longest_part
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractMixer, Mixing
from search_spaces.operators._blocked import attention

LEPE_KERNEL_SIZE = 3

Stripes = tuple[BlockedSide, BlockedSide]
"""Blocks of rows and of columns."""


@final
@OPERATORS.register
class CSWin(AbstractMixer):
    """Cross-shaped window attention with a depthwise convolution of the values."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("attention",)
    mixer_dims: ClassVar[tuple[str, ...]] = ("num_heads", "stripe_width")
    defaults: ClassVar[Mapping[str, Option]] = {"stripe_width": 2}

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Heads in pairs; the width of a stripe is the larger one of both sides."""
        heads = pick.number("num_heads")
        widths = (longest_part(side, pick.number("stripe_width")) for side in shape.size)
        return Options(
            {
                "num_heads": heads + heads % 2,
                "stripe_width": max(widths),
                "head_dim": shape.head_dim,
            }
        )

    def mixer_groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """Whole pairs of heads."""
        return {"pairs": Group(pick.number("num_heads") // 2, 1)}

    def mixer_cost(self, signature: Signature) -> Cost:
        """pixels * inner * (4 * width + 9 + keys) multiply-adds.

        Keys are the positions of a horizontal stripe and of a vertical one.
        """
        shape, pick = signature.shape, signature.pick
        pairs, head_dim = signature.kept.number("pairs"), pick.number("head_dim")
        n, inner = shape.pixels, 2 * pairs * head_dim
        directions = stripes(pick, shape.size)
        heads = 2 * pairs // len(directions)
        cost = (
            layers.layer_norm(n, shape.width)
            + layers.linear(n, shape.width, 3 * inner)
            + layers.depthwise(n, inner, LEPE_KERNEL_SIZE, has_norm=False)
            + layers.pointwise(n, inner, calls=4, quantizers=2)
            + layers.linear(n, inner, shape.width)
            + layers.pointwise(n, shape.width, quantizers=2)
        )
        for rows, columns in directions:
            cost += attention(rows, columns, heads, head_dim)
        return cost


def stripes(pick: Options, size: Sides) -> tuple[Stripes, ...]:
    """Horizontal stripes and vertical ones; where both are the map, that alone."""
    (height, width), wanted = size, pick.number("stripe_width")
    horizontal = tiles(height, longest_part(height, wanted)), tiles(width, width)
    vertical = tiles(height, height), tiles(width, longest_part(width, wanted))
    return (horizontal, vertical) if horizontal != vertical else (horizontal,)
