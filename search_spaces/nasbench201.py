"""The cells of NAS-Bench-201: a graph of four states, five operations, 15 cells of one kind.

Source: Dong and Yang, NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search
(2020), section 2.1; departures in search_spaces/networks/cells.py. At 32 px maps are those of the
paper: the stem keeps the resolution, and each of the two reductions halves it. At 96 px and more
the stem halves the map twice, and there are more stages.
"""

from typing import final

from search_spaces._base import SPACES, AbstractSpace
from search_spaces._family import LARGE_FROM
from search_spaces._sides import Resolution, read_sides
from search_spaces._space import SearchSpace
from search_spaces.networks.cells import Cells

WIDTH, DEPTH, NODES = 16, 5, 3
OPERATIONS = ("identity", "conv-1", "conv-3", "avgpool")
"""Besides none, which is an edge that is not there."""


@final
@SPACES.register
class NasBench201(AbstractSpace):
    """Edges between four states, with one of four operations or none; 16 channels at first."""

    def build(self, *, resolution: Resolution, channels: int, num_classes: int) -> SearchSpace:
        """Cells alone are decided: width and depth are those of the paper."""
        network = Cells(
            resolution=resolution,
            channels=channels,
            num_classes=num_classes,
            topology="nasbench201",
            nodes=NODES,
            operations=OPERATIONS,
            widths=(WIDTH,),
            depths=(DEPTH,),
            stem_stride=0 if min(read_sides(resolution)) >= LARGE_FROM else 1,
        )
        return SearchSpace.of_network("nasbench201", network)
