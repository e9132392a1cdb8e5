"""Networks of one scale and any operators: what `hybrid` and its parts have in common.

Widths double from stage to stage. Two scales: narrow below 96 px, where the stem may also keep the
resolution; from there on wider networks are offered, too. The shorter side of an image counts.
"""

from typing import ClassVar

from search_spaces._base import AbstractSpace
from search_spaces._choice import OptionTable
from search_spaces._declarations import declaration
from search_spaces._resolution import pyramid
from search_spaces._sides import Resolution, read_sides
from search_spaces._space import SearchSpace
from search_spaces.networks._stage import Stage
from search_spaces.networks.staged import Staged

LARGE_FROM = 96
SMALL_WIDTHS, SMALL_HEADS, SMALL_HEAD_DIM = (8, 16, 24, 40), (1, 2, 3), 16
SMALL_STRIDES = (2, 1)
LARGE_WIDTHS, LARGE_HEADS, LARGE_HEAD_DIM = (16, 24, 48, 64, 96, 112), (1, 2, 3, 4), 32
DEPTHS, LONG_DEPTHS = (1, 2, 3), (2, 4, 6, 9)
LONG_STAGE = 2
KEYS_SIDES = (7, 14)
"""Shorter side of the map that reduced attention sees (PVT's reductions 8, 4, 2, 1 give 7)."""


class AbstractFamily(AbstractSpace):
    """These operators in every block."""

    name: ClassVar[str]
    operators: ClassVar[tuple[str, ...]]

    def build(self, *, resolution: Resolution, channels: int, num_classes: int) -> SearchSpace:
        """Depths 1-3; from 96 px on the third of four stages has up to 9 blocks."""
        sizes = pyramid(resolution).sizes
        is_large = min(read_sides(resolution)) >= LARGE_FROM
        widths, heads, head_dim = (
            (LARGE_WIDTHS, LARGE_HEADS, LARGE_HEAD_DIM)
            if is_large
            else (SMALL_WIDTHS, SMALL_HEADS, SMALL_HEAD_DIM)
        )
        read = {dim for operator in self.operators for dim in declaration(operator).dims}
        stages = []
        for i, size in enumerate(sizes):
            is_long = is_large and i == LONG_STAGE and len(sizes) > LONG_STAGE + 1
            options: OptionTable = (
                ("kernel_size", (3, 5, 7)),
                ("expand_ratio", (2, 3, 4)),
                ("num_heads", tuple(count * 2**i for count in heads)),
                ("sr_ratio", tuple(sorted({max(1, min(size) // side) for side in KEYS_SIDES}))),
                ("eca", (0, 1)),
            )
            stages.append(
                Stage(
                    widths=tuple(width * 2**i for width in widths),
                    depths=LONG_DEPTHS if is_long else DEPTHS,
                    operators=self.operators,
                    options=tuple(row for row in options if row[0] in read),
                    head_dim=head_dim,
                )
            )
        network = Staged(
            resolution=resolution,
            channels=channels,
            num_classes=num_classes,
            stages=tuple(stages),
            stem_strides=() if is_large else SMALL_STRIDES,
        )
        return SearchSpace.of_network(self.name, network)
