"""Networks that answer with masks: for data whose labels are classes of pixels.

Blocks are convolutions without dilation, which any quantizer, pruner and compiler takes; how far a
pixel sees follows from kernels, depths and stages.
"""

from typing import final

from search_spaces._base import SPACES, AbstractSpace
from search_spaces._family import LARGE_FROM, SMALL_STRIDES
from search_spaces._resolution import pyramid
from search_spaces._sides import Resolution, read_sides
from search_spaces._space import SearchSpace
from search_spaces.networks._stage import Stage
from search_spaces.networks.segmented import Segmented

SMALL_WIDTHS, SMALL_DECODERS = (8, 16, 24), (16, 32, 48)
LARGE_WIDTHS, LARGE_DECODERS = (16, 24, 32, 48, 64), (32, 64, 96, 128)


@final
@SPACES.register
class Segment(AbstractSpace):
    """An encoder of `basic` or `mbconv` in every block, and a decoder of all of its stages."""

    def build(self, *, resolution: Resolution, channels: int, num_classes: int) -> SearchSpace:
        """Widths double from stage to stage; below 96 px the stem may keep the resolution."""
        is_large = min(read_sides(resolution)) >= LARGE_FROM
        stages = tuple(
            Stage(
                widths=tuple(w * 2**i for w in (LARGE_WIDTHS if is_large else SMALL_WIDTHS)),
                depths=(1, 2, 3),
                operators=("basic", "mbconv"),
                options=(("kernel_size", (3, 5, 7)), ("expand_ratio", (2, 3, 4))),
            )
            for i in range(len(pyramid(resolution).sizes))
        )
        network = Segmented(
            resolution=resolution,
            channels=channels,
            num_classes=num_classes,
            stages=stages,
            decoder_widths=LARGE_DECODERS if is_large else SMALL_DECODERS,
            stem_strides=() if is_large else SMALL_STRIDES,
        )
        return SearchSpace.of_network("segment", network)
