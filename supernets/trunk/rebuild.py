"""From clusters to the map; source and departures in search_spaces/trunk/rebuild.py.

Shapes: as in supernets/_clusters.py, and L = H * W + 2 * P tokens.
"""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces._clusters import CELL
from supernets._clusters import Cells
from supernets.blocks._unweighted import AbstractUnweighted
from supernets.trunk._base import TRUNK_BLOCKS


class PlainRebuild(nn.Module):
    """A map, and to each of its positions what its clusters have gained."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape = signature.shape
        self.cells = Cells(shape.size, signature.pick.sides(CELL), shape.width)

    def forward(self, x_BCL1: Tensor) -> Tensor:
        """(B, C, H, W).

        Args:
            x_BCL1: The map, its clusters, and what became of these, one after the other.
        """
        cells = self.cells
        parts = [cells.pixels, cells.clusters, cells.clusters]
        x_BCH1, before_BCP1, after_BCP1 = x_BCL1.split(parts, 2)
        x_BPSC = cells.cut(x_BCH1.reshape(-1, cells.width, *cells.size))
        before_BPC = before_BCP1.squeeze(-1).transpose(1, 2)
        gains_BPC = after_BCP1.squeeze(-1).transpose(1, 2) - before_BPC
        shares_BPSA = cells.belonging(x_BPSC, before_BPC)
        return cells.joined(x_BPSC + cells.spread(gains_BPC, shares_BPSA))


@final
@TRUNK_BLOCKS.register
class ElasticRebuild(AbstractUnweighted):
    """Any width."""

    plain: ClassVar[type[nn.Module]] = PlainRebuild
