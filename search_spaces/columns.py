"""Columns of a pyramid that read each other, as in RevCol: how many there are is decided, too.

More columns make a network deeper and let high levels tell low ones what they have seen. From 96 px
on levels are wider.
"""

from typing import final

from search_spaces._base import SPACES, AbstractSpace
from search_spaces._family import LARGE_FROM
from search_spaces._sides import Resolution, read_sides
from search_spaces._space import SearchSpace
from search_spaces.networks.columns import Columns

SMALL_WIDTHS, LARGE_WIDTHS = (8, 16, 24), (16, 32, 48)
COLUMNS, DEPTHS = (1, 2, 3, 4), (1, 2)
OPERATIONS = (
    "basic",
    "mbconv-3:expand_ratio=2",
    "mbconv-5:expand_ratio=4",
    "convnext-3:expand_ratio=2",
    "convnext-7:expand_ratio=4",
)


@final
@SPACES.register
class ColumnsSpace(AbstractSpace):
    """One to four columns of one or two blocks per level; the blocks' kind is decided by level."""

    def build(self, *, resolution: Resolution, channels: int, num_classes: int) -> SearchSpace:
        """Three widths, decided for the whole network."""
        is_large = min(read_sides(resolution)) >= LARGE_FROM
        network = Columns(
            resolution=resolution,
            channels=channels,
            num_classes=num_classes,
            columns=COLUMNS,
            widths=LARGE_WIDTHS if is_large else SMALL_WIDTHS,
            depths=DEPTHS,
            operations=OPERATIONS,
        )
        return SearchSpace.of_network("columns", network)
