"""A map of twice the sides; source in search_spaces/trunk/upsample.py."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces._slot import Shape
from supernets.blocks._unweighted import AbstractUnweighted
from supernets.trunk._base import TRUNK_BLOCKS


class Enlarged(nn.Module):
    """A map brought to whole multiples of its sides, of which what is too much is cut off.

    Args:
        shape: Sizes of both maps.
        mode: As torch calls it: "nearest" or "bilinear".
    """

    def __init__(self, shape: Shape, mode: str) -> None:
        super().__init__()
        rows, columns = shape.multiple
        self.size = shape.size
        self.is_cut = (rows * shape.in_size[0], columns * shape.in_size[1]) != shape.size
        self.up: nn.Module = nn.Identity()
        if shape.in_size != shape.size:
            self.up = nn.Upsample(scale_factor=(float(rows), float(columns)), mode=mode)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, *size)."""
        x_BCHW = self.up(x_BCHW)
        height, width = self.size
        return x_BCHW[:, :, :height, :width] if self.is_cut else x_BCHW


class PlainUpsample(nn.Module):
    """Every value twice in both directions."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        self.enlarge = Enlarged(signature.shape, "nearest")

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, *size)."""
        return self.enlarge(x_BCHW)


@final
@TRUNK_BLOCKS.register
class ElasticUpsample(AbstractUnweighted):
    """Any width."""

    plain: ClassVar[type[nn.Module]] = PlainUpsample
