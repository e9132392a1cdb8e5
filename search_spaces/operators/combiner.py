"""Combiner's attention: to the own block position by position, to other blocks by their summaries.

Source: Ren et al., Combiner: Full Attention Transformer with Sparse Computation Cost (2021):
attention as a conditional expectation. A position attends to positions of its block and to other
blocks in one softmax; how much of a block's probability each of its positions has is decided inside
of the block, by the block's query. So every position has a probability above 0 everywhere. The
bidirectional variant for maps: blocks are rectangles that divide the map. Departures: a block's key
and query are the means of its positions'; the number of heads is elastic at a fixed head size.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Option, Options
from search_spaces._sides import longest_part, written_sides
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._attention import AbstractAttention, attended, heads_of
from search_spaces.operators._base import OPERATORS


@final
@OPERATORS.register
class Combiner(AbstractAttention):
    """Full attention, factorised over blocks; blocks of 1 px are plain attention."""

    mixer_dims: ClassVar[tuple[str, ...]] = ("num_heads", "block_size")
    defaults: ClassVar[Mapping[str, Option]] = {"block_size": 7}

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Of each side of the map the longest part up to the one asked for; the longer of both."""
        rows, columns = (longest_part(side, pick.number("block_size")) for side in shape.size)
        return Options(
            {
                **heads_of(pick, shape),
                "block_size": max(rows, columns),
                "block_sides": written_sides((rows, columns)),
            }
        )

    def mixer_cost(self, signature: Signature) -> Cost:
        """Attention: 2 * pixels * inner * (block + blocks + 1), blocks = pixels / block."""
        shape, pick = signature.shape, signature.pick
        n, width, heads = shape.pixels, shape.width, signature.kept.number("heads")
        inner, block = heads * pick.number("head_dim"), math.prod(pick.sides("block_sides"))
        blocks = n // block
        keys = block + (blocks + 1 if blocks > 1 else 0)
        cost = (
            layers.layer_norm(n, width)
            + layers.linear(n, width, 3 * inner)
            + attended(n, keys, heads, inner)
            + layers.pointwise(n, inner, calls=3, quantizers=2)
            + layers.linear(n, inner, width)
            + layers.nodes(20)
        )
        if blocks > 1:
            cost += layers.pointwise(n, width, calls=2) + layers.pointwise(n, inner, calls=2)
            cost += layers.pointwise(n, heads * keys, calls=3) + Cost(calls=6)
            cost += layers.nodes(20, values=4 * blocks**2)
        return cost
