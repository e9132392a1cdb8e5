"""Attention in shifted windows by the cosine of queries and keys, with a norm behind it.

Source: Liu et al., Swin Transformer V2: Scaling Up Capacity and Resolution (2022), section 3:
residual post-norm, scaled cosine attention, log-spaced continuous position bias. The bias is 16
times the sigmoid of what a small network makes of sign(d) * log2(1 + |d|) / log2(8), for both
offsets d of a key; a scale is learnt for every head, and is at most 100. When deployed, the biases
are stored. Departures: heads are elastic at a fixed size, and windows follow the map, as in
`window`; offsets are multiplied by 8 / 7 whatever the window, instead of 8 / (side - 1), so that a
member with other windows has the biases of the same offsets; keys have a bias like queries and
values; the network has GELU in place of ReLU, so that no channel of it is without gradient for all
offsets; positions beyond the border of a map that windows do not divide are not seen, instead of
zeros; the slot's channel part has its norm in front, as it has behind other mixers.
"""

from typing import final

from search_spaces import _layers as layers
from search_spaces._blocked import BlockedSide, shifted_tiles
from search_spaces._choice import Options
from search_spaces._sides import Sides
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._attention import AbstractAttention, heads_of
from search_spaces.operators._base import OPERATORS
from search_spaces.operators._blocked import attention, bias
from search_spaces.operators.window import shifted_windows

BIAS_HIDDEN = 512
"""Of the network that makes biases."""


@final
@OPERATORS.register
class SwinV2(AbstractAttention):
    """Cosine attention in shifted windows, position bias of a small network, norm behind it."""

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Adds the window's sides and shifts, as in `window`."""
        return Options({**heads_of(pick, shape), **shifted_windows(shape)})

    def mixer_cost(self, signature: Signature) -> Cost:
        """Those of `window`; a network of one hidden layer is trained and its biases are stored."""
        shape, pick = signature.shape, signature.pick
        heads, head_dim = signature.kept.number("heads"), pick.number("head_dim")
        rows, columns = windows(pick, shape.size)
        n, inner = shape.pixels, heads * head_dim
        network = 3 * BIAS_HIDDEN + BIAS_HIDDEN * heads
        scaled = Cost(params=network + heads, vectors=heads) + layers.nodes(12)
        return (
            layers.linear(n, shape.width, 3 * inner)
            + layers.pointwise(n, 2 * inner, calls=3)
            + scaled
            + attention(rows, columns, heads, head_dim)
            + bias(rows, columns, heads)
            + layers.linear(n, inner, shape.width)
            + layers.layer_norm(n, shape.width)
            + layers.pointwise(n, shape.width, quantizers=2)
        )


def windows(pick: Options, size: Sides) -> tuple[BlockedSide, BlockedSide]:
    """Shifted windows along the rows and along the columns."""
    parts = zip(size, pick.sides("window_size"), pick.sides("shift"), strict=True)
    rows, columns = (shifted_tiles(*part) for part in parts)
    return rows, columns
