"""Attention in windows, all of which are asked by one pooled map.

Source: Hatamizadeh et al., Global Context Vision Transformers (2023), section 3: queries are made
of the whole map, pooled to the size of a window, and are the same in every window, whose own
positions are keys and values; a relative position bias as in Swin. Departures: each block makes
queries of its own map, because a slot sees no other's, where a stage makes them once; of averages
by a linear layer, where convolutions with max pooling make them; heads are elastic, of a fixed
size; windows follow from the map as in `window`, and local attention in between is that operator.
"""

import math
from typing import final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._resolution import window_size
from search_spaces._sides import written_sides
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._attention import AbstractAttention, heads_of
from search_spaces.operators._base import OPERATORS
from search_spaces.operators.window import num_windows


@final
@OPERATORS.register
class GCViT(AbstractAttention):
    """Window attention with global queries."""

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Adds the window's sides."""
        window = written_sides(window_size(shape.size))
        return Options({**heads_of(pick, shape), "window_size": window})

    def mixer_cost(self, signature: Signature) -> Cost:
        """As `window`, with queries of one window instead of all.

        Maps that windows do not divide are padded, and the padding is counted.
        """
        shape, pick = signature.shape, signature.pick
        window, heads = pick.sides("window_size"), signature.kept.number("heads")
        width, inner, keys = shape.width, heads * pick.number("head_dim"), math.prod(window)
        grid = num_windows(shape.size, window)
        tokens = keys * math.prod(grid)
        table = heads * math.prod(2 * part - 1 for part in window)
        cost = layers.layer_norm(shape.pixels, width)
        if tokens > keys:
            cost += layers.pointwise(tokens, width, calls=3, quantizers=1) + layers.nodes(9)
            cost += layers.pointwise(keys, width, calls=1)
        if tokens != shape.pixels:
            cost += layers.pointwise(tokens, width, calls=2) + layers.nodes(2)
        return (
            cost
            + layers.linear(keys, width, inner)
            + layers.linear(tokens, width, 2 * inner)
            + Cost(attention=2 * tokens * keys * inner, params=table, vectors=table)
            + Cost(elements=3 * tokens * keys * heads, calls=4)
            + layers.pointwise(tokens, inner, calls=4, quantizers=2)
            + layers.nodes(32)
            + layers.linear(tokens, inner, width)
        )
