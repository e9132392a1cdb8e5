"""The cells of DARTS: four nodes of two operations each, all of which a cell hands on.

Source: Liu et al., DARTS: Differentiable Architecture Search (2019), sections 2.1 and 3.1; the
search alone is ours, and departures of the cells are in search_spaces/networks/cells.py. Widths and
depths are a choice: the paper has 16 channels and 8 cells while it searches, 36 and 20 after.
"""

from typing import final

from search_spaces._base import SPACES, AbstractSpace
from search_spaces._sides import Resolution
from search_spaces._space import SearchSpace
from search_spaces.networks.cells import Cells

WIDTHS, DEPTHS, NODES = (8, 16, 32), (1, 2), 4
OPERATIONS = (
    "identity",
    "sepconv-3",
    "sepconv-5",
    "dilconv-3",
    "dilconv-5",
    "avgpool",
    "maxpool",
)


@final
@SPACES.register
class Darts(AbstractSpace):
    """Normal and reduction cells of four nodes as in DARTS, repeated once or twice."""

    def build(self, *, resolution: Resolution, channels: int, num_classes: int) -> SearchSpace:
        """Three widths and two depths, decided for the whole network."""
        network = Cells(
            resolution=resolution,
            channels=channels,
            num_classes=num_classes,
            topology="darts",
            nodes=NODES,
            operations=OPERATIONS,
            widths=WIDTHS,
            depths=DEPTHS,
        )
        return SearchSpace.of_network("darts", network)
