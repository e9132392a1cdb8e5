"""Clusters of neighbouring positions: how a map is cut into cells, and what gathering them costs.

A cluster starts as the mean of a cell of the map, and so clusters are a smaller map, on which any
operator runs. A position belongs in part to the cluster of its own cell and to the eight around it
(`supernets/_clusters.py`).
"""

import math

from search_spaces._choice import Options
from search_spaces._sides import Sides
from search_spaces._slot import Cost

TOKENS_PER_CLUSTER = "tokens_per_cluster"
"""The dimension: positions of a cell."""

CELL = "cell"
"""What a pick says of the cell's height and width."""

AROUND = 9
"""Clusters that a position may belong to."""

ITERATIONS = 1
"""How often clusters move to the mean of what belongs to them."""

GATHER_BYTES, REBUILD_BYTES, PADDED_BYTES, SIDE_BYTES = 2450, 2300, 1000, 12
"""Of a file: of both, of a map that is no whole cells, and per row and column of cells. Measured.
"""


def cell_of(tokens: int, size: Sides) -> Sides:
    """Height and width of a cell of so many positions, pixels: the most square one that fits.

    Of two such the wider one; where none fits the whole map is one cell.
    """
    fitting = (
        (rows, tokens // rows) for rows in range(math.isqrt(tokens), 0, -1) if tokens % rows == 0
    )
    for one, other in fitting:
        for rows, columns in ((one, other), (other, one)):
            if rows <= size[0] and columns <= size[1]:
                return rows, columns
    return size


def grid_of(size: Sides, cell: Sides) -> Sides:
    """Clusters along the height and the width of a map; the last cells may be cut off."""
    rows, columns = (-(-side // part) for side, part in zip(size, cell, strict=True))
    return rows, columns


def cluster_pick(tokens: int, size: Sides) -> Options:
    """The pick of what gathers or rebuilds a map of this size, with the cell."""
    rows, columns = cell_of(tokens, size)
    return Options({TOKENS_PER_CLUSTER: rows * columns, CELL: f"{rows}x{columns}"})


def gathering(size: Sides, width: int, cell: Sides) -> Cost:
    """Clusters of a map: means of cells, moved `ITERATIONS` times.

    Args:
        size: Of the map.
        width: Channels.
        cell: Its height and width.
    """
    clusters, n = _sizes(size, cell)
    moving = Cost(
        attention=2 * AROUND * n * width,
        elements=4 * n * width + 8 * AROUND * clusters * width + 4 * AROUND * n,
        calls=42,
    )
    cost = _in_cells(size, width, cell) + Cost(calls=3, graph_bytes=GATHER_BYTES)
    for _ in range(ITERATIONS):
        cost += moving
    return cost


def rebuilding(size: Sides, width: int, cell: Sides) -> Cost:
    """A map of what became of its clusters.

    Args:
        size: Of the map.
        width: Channels.
        cell: Its height and width.
    """
    clusters, n = _sizes(size, cell)
    own = Cost(
        attention=2 * AROUND * n * width,
        elements=7 * n * width + 8 * AROUND * clusters * width + 2 * AROUND * n,
        calls=42,
        graph_bytes=REBUILD_BYTES,
    )
    return own + _in_cells(size, width, cell)


def _sizes(size: Sides, cell: Sides) -> tuple[int, int]:
    """Clusters, and positions of all cells, those beyond the border included."""
    clusters = math.prod(grid_of(size, cell))
    return clusters, clusters * math.prod(cell)


def _in_cells(size: Sides, width: int, cell: Sides) -> Cost:
    """Of cutting a map into cells, and of what is beyond the border."""
    n, sides = _sizes(size, cell)[1], SIDE_BYTES * sum(grid_of(size, cell))
    own = Cost(elements=n * width, calls=1, graph_bytes=sides)
    if n == math.prod(size):
        return own
    return own + Cost(elements=5 * n * width, calls=8, graph_bytes=PADDED_BYTES)
