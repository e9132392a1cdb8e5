"""A head whose classes are subspaces; source and departures in search_spaces/trunk/grassmann.py.

Shapes: B batch, C channels, K classes, D dimensions of a subspace.
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import Signature
from search_spaces.trunk.grassmann import DIMENSIONS, SCALE
from supernets._elastic import Axes
from supernets._merged import AbstractMerged
from supernets.trunk._base import TRUNK_BLOCKS, AbstractTrunkBlock

EPS = 1e-12


@final
class Subspaces(nn.Module, AbstractMerged):
    """Coordinates of vectors in subspaces: (B, C) to (B, K * D).

    Args:
        channels: At least as many as dimensions.
        number: Of subspaces.
        dimensions: Of each.
    """

    def __init__(self, channels: int, number: int, dimensions: int) -> None:
        super().__init__()
        self.spanned = nn.Parameter(torch.empty(number, channels, dimensions))
        nn.init.normal_(self.spanned)

    def basis(self) -> Tensor:
        """Rows that are orthonormal in each subspace: (K * D, C)."""
        factor_KCD, _ = torch.linalg.qr(self.spanned)
        return factor_KCD.transpose(1, 2).reshape(-1, self.spanned.shape[1])

    def forward(self, x_BC: Tensor) -> Tensor:
        """(B, K * D)."""
        return F.linear(x_BC, self.basis())

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The linear layer of the basis."""
        basis = self.basis()
        layer = nn.Linear(basis.shape[1], len(basis), bias=False, device="meta")
        layer.weight = nn.Parameter(basis.clone())
        return layer


class PlainGrassmann(nn.Module):
    """ReLU, global average pool, lengths of projections onto the classes' subspaces."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape = signature.shape
        self.classes = shape.width
        self.act = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = Subspaces(shape.in_width, shape.width, DIMENSIONS)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Logits from 0 to `SCALE`, (B, classes)."""
        x_BC = self.pool(self.act(x_BCHW)).flatten(1)
        x_BC = x_BC * (SCALE * torch.rsqrt((x_BC * x_BC).sum(1, keepdim=True) + EPS))
        y_BKD = self.classifier(x_BC).reshape(-1, self.classes, DIMENSIONS)
        return ((y_BKD * y_BKD).sum(2) + EPS).sqrt()


@final
@TRUNK_BLOCKS.register
class ElasticGrassmann(AbstractTrunkBlock):
    """Elastic input width; the classes are fixed."""

    plain: ClassVar[type[nn.Module]] = PlainGrassmann
    axes: ClassVar[Axes] = {"classifier.spanned": (None, "in_width", None)}
