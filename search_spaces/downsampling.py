"""Where maps are halved in a small ResNet: 15 configurations, and two sets of weights for them.

For the question that its configurations ask, see search_spaces/networks/downsampled.py; they are
trained with `--method mixture`. `--fix weight_set=w1` leaves one set of weights.
"""

from typing import final

from search_spaces._base import SPACES, AbstractSpace
from search_spaces._family import LARGE_FROM
from search_spaces._sides import Resolution, read_sides
from search_spaces._space import SearchSpace
from search_spaces.networks.downsampled import Downsampled

WIDTHS, DEPTH, HALVINGS, SETS = (16, 32, 64), 2, 2, 2


@final
@SPACES.register
class Downsampling(AbstractSpace):
    """Six places, of which two halve the map; widths as in a ResNet-20."""

    def build(self, *, resolution: Resolution, channels: int, num_classes: int) -> SearchSpace:
        """The places, and which of two sets of weights; below 96 px the stem keeps the map."""
        network = Downsampled(
            resolution=resolution,
            channels=channels,
            num_classes=num_classes,
            widths=WIDTHS,
            depth=DEPTH,
            halvings=HALVINGS,
            num_sets=SETS,
            stem_stride=0 if min(read_sides(resolution)) >= LARGE_FROM else 1,
        )
        return SearchSpace.of_network("downsampling", network)
