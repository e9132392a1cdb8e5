"""Attention whose queries are taken in blocks, each of which sees a window of keys."""

import math
from abc import abstractmethod
from collections.abc import Iterable
from itertools import chain

from search_spaces import _layers as layers
from search_spaces._blocked import BlockedSide, different_offsets, is_moving
from search_spaces._choice import Options
from search_spaces._sides import Sides
from search_spaces._slot import Cost, Signature
from search_spaces.operators._attention import AbstractAttention

ATTENTION_BYTES, CUT_BYTES = 800, 110
"""Of a file: attention in one block, and cutting a map into blocks of several rows and columns."""

LOOKUP_BYTES, TABLE_BYTES = 65, 40
"""Of looking positions up along an axis, and of a table of positions without its numbers."""

BIAS_BYTES, HIDDEN_BYTES = 270, 600
"""Of a bias for every pair, and of an entry for those that do not see each other."""


class AbstractBlockedAttention(AbstractAttention):
    """Norm, attention in blocks with a bias for every offset of a key, projection.

    The number of heads is elastic at a fixed head size, as in `window`.
    """

    @abstractmethod
    def blocked(self, pick: Options, size: Sides) -> tuple[BlockedSide, BlockedSide]:
        """Blocks of a map's rows and of its columns, for a normalised pick."""

    def mixer_cost(self, signature: Signature) -> Cost:
        """Projections, and 2 * inner multiply-adds for every query and key of a block."""
        shape, pick = signature.shape, signature.pick
        rows, columns = self.blocked(pick, shape.size)
        heads, head_dim = signature.kept.number("heads"), pick.number("head_dim")
        n, inner = shape.pixels, heads * head_dim
        return (
            layers.layer_norm(n, shape.width)
            + layers.linear(n, shape.width, 3 * inner)
            + attention(rows, columns, heads, head_dim)
            + bias_table(rows, columns, heads)
            + bias(rows, columns, heads)
            + layers.linear(n, inner, shape.width)
            + layers.pointwise(n, shape.width, quantizers=2)
        )


def attention(rows: BlockedSide, columns: BlockedSide, heads: int, head_dim: int) -> Cost:
    """Queries, keys and values by blocks, the two products and the softmax between them."""
    blocks = len(rows.blocks) * len(columns.blocks)
    queries, keys = rows.num_queries * columns.num_queries, rows.num_keys * columns.num_keys
    inner, pairs = heads * head_dim, blocks * queries * keys
    copied = blocks * (2 * queries + 2 * keys) * inner + 3 * rows.length * columns.length * inner
    lookups = [
        (index, uses)
        for side in (rows, columns)
        for index, places, uses in (
            (side.query_index, side.length, 1),
            (side.key_index, side.length, 2),
            (side.answer_index, len(side.query_index), 1),
        )
        if is_moving(index, places)
    ]
    num_lookups = sum(uses for _, uses in lookups)
    cuts = (rows.num_queries > 1) + (rows.num_keys > 1) if len(columns.blocks) > 1 else 0
    return Cost(
        attention=2 * pairs * inner,
        elements=2 * pairs * heads + blocks * queries * inner + copied,
        calls=9 + num_lookups,
        graph_bytes=ATTENTION_BYTES + cuts * CUT_BYTES + num_lookups * LOOKUP_BYTES,
    ) + _tables(index for index, _ in lookups)


def bias_table(rows: BlockedSide, columns: BlockedSide, heads: int) -> Cost:
    """A value for every offset and head, as they are trained."""
    return Cost(params=heads * rows.num_offsets * columns.num_offsets)


def bias(rows: BlockedSide, columns: BlockedSide, heads: int) -> Cost:
    """What a file stores of a table of offsets, and makes of it: a bias for every pair."""
    values = heads * rows.num_offsets * columns.num_offsets
    queries, keys = rows.num_queries * columns.num_queries, rows.num_keys * columns.num_keys
    blocks, offsets = len(rows.blocks) * len(columns.blocks), different_offsets(rows, columns)
    made = math.prod(map(len, offsets))
    hidden_bytes = HIDDEN_BYTES if rows.has_hidden or columns.has_hidden else 0
    return Cost(
        vectors=values,
        elements=heads * queries * keys * (2 * made + blocks),
        calls=4,
        graph_bytes=BIAS_BYTES + hidden_bytes,
    ) + _tables(tuple(chain(*entries)) for entries in offsets)


def _tables(indices: Iterable[tuple[int, ...]]) -> Cost:
    """What files store of them, equal ones once, in a byte each."""
    return Cost(graph_bytes=sum(TABLE_BYTES + len(index) for index in set(indices)))
