"""The maximum of 3x3 positions; source and departures in search_spaces/operators/maxpool.py."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators._unweighted import POOL_SIDE
from supernets.blocks._base import BLOCKS
from supernets.blocks._unweighted import AbstractUnweighted


class PlainMaximumPooling(nn.Module):
    """Of the positions that there are."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(POOL_SIDE, 1, POOL_SIDE // 2)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, *size)."""
        return self.pool(x_BCHW)


@final
@BLOCKS.register
class ElasticMaximumPooling(AbstractUnweighted):
    """Any width."""

    plain: ClassVar[type[nn.Module]] = PlainMaximumPooling
