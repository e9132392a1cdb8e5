"""Cells as NASNet's: two operations of earlier states per node, a normal and a reduction cell.

Small enough for minutes at 28 to 32 px. From 96 px on cells are wider; a cell that was found on
small images can be searched no further and repeated there.
"""

from typing import final

from search_spaces._base import SPACES, AbstractSpace
from search_spaces._family import LARGE_FROM
from search_spaces._sides import Resolution, read_sides
from search_spaces._space import SearchSpace
from search_spaces.networks.cells import Cells

SMALL_WIDTHS, LARGE_WIDTHS = (8, 16, 32), (16, 32, 48)
DEPTHS = (1, 2, 4)
NODES = 3
OPERATIONS = (
    "identity",
    "sepconv-3",
    "sepconv-5",
    "sepconv-7",
    "dilconv-3",
    "avgpool",
    "maxpool",
    "stripconv-7",
    "conv-1",
    "conv-3",
)


@final
@SPACES.register
class CellsSpace(AbstractSpace):
    """Normal and reduction cells of three nodes as in NASNet, repeated one to four times."""

    def build(self, *, resolution: Resolution, channels: int, num_classes: int) -> SearchSpace:
        """Three widths and three depths, decided for the whole network."""
        is_large = min(read_sides(resolution)) >= LARGE_FROM
        network = Cells(
            resolution=resolution,
            channels=channels,
            num_classes=num_classes,
            topology="nasnet",
            nodes=NODES,
            operations=OPERATIONS,
            widths=LARGE_WIDTHS if is_large else SMALL_WIDTHS,
            depths=DEPTHS,
        )
        return SearchSpace.of_network("cells", network)
