"""From a map to its clusters; source and departures in search_spaces/trunk/cluster.py."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces._clusters import CELL
from supernets._clusters import Cells
from supernets.blocks._unweighted import AbstractUnweighted
from supernets.trunk._base import TRUNK_BLOCKS


class PlainCluster(nn.Module):
    """Clusters of cells, as a smaller map."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape = signature.shape
        self.cells = Cells(shape.in_size, signature.pick.sides(CELL), shape.in_width)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, *grid)."""
        clusters_BPC = self.cells.gathered(self.cells.cut(x_BCHW))
        return clusters_BPC.transpose(1, 2).reshape(-1, self.cells.width, *self.cells.grid)


@final
@TRUNK_BLOCKS.register
class ElasticCluster(AbstractUnweighted):
    """Any width."""

    plain: ClassVar[type[nn.Module]] = PlainCluster
