"""Attention of blocks of queries, each to a window of keys, along one side of a map.

A block of a map is a block of its rows and one of its columns, so two sides say everything: which
positions are the queries of every block, which ones its keys, and how far apart they may be.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from search_spaces._sides import Sides


class Block(NamedTuple):
    """Positions along a side.

    Attributes:
        queries: What answers are for. A position that several blocks have is the first one's;
            those beyond the side are nobody's.
        keys: What these queries may see, if it lies within the side.
    """

    queries: tuple[int, ...]
    keys: tuple[int, ...]


@dataclass(frozen=True)
class BlockedSide:
    """How attention is blocked along one side of a map.

    Attributes:
        length: Positions of the side.
        blocks: All with as many queries and with as many keys.
        reach: Steps between a query and the farthest keys that it sees.
        step: Positions from one key to the next one.
    """

    length: int
    blocks: tuple[Block, ...]
    reach: int
    step: int = 1

    @property
    def num_queries(self) -> int:
        """Of a block."""
        return len(self.blocks[0].queries)

    @property
    def num_keys(self) -> int:
        """Of a block."""
        return len(self.blocks[0].keys)

    @property
    def num_offsets(self) -> int:
        """Distances between a query and a key that it sees, in steps: -reach to reach."""
        return 2 * self.reach + 1

    @cached_property
    def query_index(self) -> tuple[int, ...]:
        """Where the queries of one block after the other are; those of nobody are anywhere."""
        return self._within(block.queries for block in self.blocks)

    @cached_property
    def key_index(self) -> tuple[int, ...]:
        """Likewise of the keys; those that nobody sees are anywhere."""
        return self._within(block.keys for block in self.blocks)

    @cached_property
    def answer_index(self) -> tuple[int, ...]:
        """For every position of the side the place among the queries of all blocks."""
        asked = [position for block in self.blocks for position in block.queries]
        return tuple(asked.index(position) for position in range(self.length))

    @cached_property
    def offset_index(self) -> tuple[tuple[int, ...], ...]:
        """Entry of a table of offsets for every query and key of every block.

        The entry behind the last one is that of pairs that do not see each other.
        """
        return tuple(
            tuple(self._entry(query, key) for query in block.queries for key in block.keys)
            for block in self.blocks
        )

    @cached_property
    def has_hidden(self) -> bool:
        """Whether some pair of a block does not see each other."""
        return any(self.num_offsets in entries for entries in self.offset_index)

    @property
    def is_uniform(self) -> bool:
        """Whether all blocks have the same offsets, so that one of them says those of all."""
        return len(set(self.offset_index)) == 1

    def seen(self, position: int) -> tuple[int, ...]:
        """The keys that a position sees."""
        place = self.answer_index[position] // self.num_queries
        keys = self.blocks[place].keys
        return tuple(key for key in keys if self._entry(position, key) < self.num_offsets)

    def _entry(self, query: int, key: int) -> int:
        steps = (query - key) // self.step
        is_seen = 0 <= key < self.length and abs(steps) <= self.reach
        return steps + self.reach if is_seen else self.num_offsets

    def _within(self, parts: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
        return tuple(min(max(p, 0), self.length - 1) for part in parts for p in part)


def is_moving(index: tuple[int, ...], places: int) -> bool:
    """Whether looking these up among so many places gives anything but all in their order."""
    return index != tuple(range(places))


Entries = tuple[tuple[int, ...], ...]
"""Of a table, by block."""


def different_offsets(rows: BlockedSide, columns: BlockedSide) -> tuple[Entries, Entries]:
    """Offsets of the blocks of rows and of columns; of one each if those of all are equal."""
    first = slice(1 if rows.is_uniform and columns.is_uniform else None)
    return rows.offset_index[first], columns.offset_index[first]


@lru_cache(maxsize=1024)
def neighbourhoods(length: int, keys: int, dilation: int = 1, stride: int = 1) -> BlockedSide:
    """Every block of `stride` neighbours sees the `keys` positions nearest to its middle.

    Positions that are `dilation` apart are neighbours, so the side is `dilation` sides of its own.
    Near the ends windows are moved inwards. Of an even number of queries the middle is the one
    right of it, and the last block of a side may have fewer: it repeats its last query.

    Args:
        length: Positions of the side.
        keys: At most length / dilation.
        dilation: Positions from one neighbour to the next.
        stride: At most as many as keys.
    """
    blocks = []
    for first in range(dilation):
        own = range(first, length, dilation)
        for start in range(0, len(own), stride):
            queries = own[start : start + stride]
            middle = min(start + stride // 2, len(own) - 1)
            begin = min(max(middle - keys // 2, 0), len(own) - keys)
            padded = (*queries, *[queries[-1]] * (stride - len(queries)))
            blocks.append(Block(padded, tuple(own[begin : begin + keys])))
    return BlockedSide(length, tuple(sorted(blocks)), keys - 1, dilation)


@lru_cache(maxsize=1024)
def tiles(length: int, part: int, halo: int = 0) -> BlockedSide:
    """Blocks of `part` positions see themselves and `halo` positions on either hand.

    Where parts do not divide the side, the last block is moved back.

    Args:
        length: Positions of the side.
        part: At most length.
        halo: At most length - part.
    """
    starts = (min(start, length - part) for start in range(0, length, part))
    blocks = tuple(
        Block(tuple(range(s, s + part)), tuple(range(s - halo, s + part + halo))) for s in starts
    )
    return BlockedSide(length, blocks, part + halo - 1)


@lru_cache(maxsize=1024)
def shifted_tiles(length: int, part: int, shift: int) -> BlockedSide:
    """Blocks of `part` positions that start at `shift`; the last one has both ends of the side.

    Positions of different ends do not see each other, being farther apart than a block is long.

    Args:
        length: Positions of the side.
        part: Of a block.
        shift: Less than part; 0 where there is one block.
    """
    around = -(-length // part) * part
    blocks = []
    for start in range(shift, around + shift, part):
        own = tuple(position % around for position in range(start, start + part))
        blocks.append(Block(own, own))
    return BlockedSide(length, tuple(blocks), part - 1)


def tiled_speedup(
    rows: BlockedSide, columns: BlockedSide, query_tile: Sides, key_tile: Sides
) -> float:
    """How many times fewer pairs a kernel computes than global attention does, at most.

    A kernel that takes queries and keys in tiles computes all pairs of a tile of queries and of
    every tile of keys that some query of it sees. Pairs of a block of queries and their keys alone
    would be the ratio of multiply-adds, which is reached where tiles and windows are aligned.

    Source: Hassani et al., Generalized Neighborhood Attention (2025), the simulator. Departures:
    tiles of keys lie on a fixed grid, those at a border are as small as they are, and time for
    anything but products is left out.

    Args:
        rows: Blocks of the map's rows.
        columns: Of its columns.
        query_tile: Height and width, in steps.
        key_tile: Likewise.
    """
    sides = rows, columns
    computed = [_tiled_pairs(*one) for one in zip(sides, query_tile, key_tile, strict=True)]
    return (rows.length * columns.length) ** 2 / (computed[0] * computed[1])


def _tiled_pairs(side: BlockedSide, query_tile: int, key_tile: int) -> int:
    """Pairs of positions of a side that are computed; those of a map are products of them."""

    def tile_of(position: int, tile: int) -> tuple[int, int]:
        return position % side.step, position // side.step // tile

    queries = Counter(tile_of(position, query_tile) for position in range(side.length))
    keys = Counter(tile_of(position, key_tile) for position in range(side.length))
    visited: dict[tuple[int, int], set[tuple[int, int]]] = {tile: set() for tile in queries}
    for position in range(side.length):
        seen = (tile_of(key, key_tile) for key in side.seen(position))
        visited[tile_of(position, query_tile)].update(seen)
    return sum(queries[tile] * sum(keys[key] for key in seen) for tile, seen in visited.items())
