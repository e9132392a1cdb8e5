"""Gated positional self-attention.

Source: d'Ascoli et al., ConViT (2021); declaration and departures in
search_spaces/operators/convit.py. Shapes: B batch, H W space, I J positions along a side, N heads,
T tokens, D channels of a head, C channels.
"""

import math
from collections.abc import Mapping
from itertools import product
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces._sides import Sides
from supernets._elastic import Axes, Index
from supernets._heads import QKV_AXES, QKV_WITHOUT_GRADIENT, AbstractHeads
from supernets._modules import NORM_EPS
from supernets._positions import positions
from supernets.mixers._attention import AbstractElasticAttention
from supernets.mixers._base import MIXERS

LOCALITY = 1.0
"""How sharply heads attend to their offsets at first."""

GATE = 1.0
"""Before the sigmoid, at first."""


class PlainConViT(AbstractHeads):
    """Norm, weights by content and by position, gated; projection.

    Attributes:
        places_N3: Of a head's weight by position, what the squared distance, the offset in rows and
            that in columns count.
        gates_N: Of a head's weight by position, before the sigmoid.
    """

    rows_11H: Tensor
    columns_11W: Tensor

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        pick, shape = signature.pick, signature.shape
        self.size = shape.size
        self.heads, self.head_dim = signature.kept.number("heads"), pick.number("head_dim")
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
        self.qkv = nn.Linear(shape.width, 3 * self.heads * self.head_dim)
        self.places_N3 = nn.Parameter(first_places(self.heads))
        self.gates_N = nn.Parameter(torch.full((self.heads,), GATE))
        self.project = nn.Linear(self.heads * self.head_dim, shape.width)
        self.register_buffer("rows_11H", positions(self.size[0]), persistent=False)
        self.register_buffer("columns_11W", positions(self.size[1]), persistent=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        tokens = math.prod(self.size)
        q, k, v = self.split_parts(self.qkv(self.norm(x_BHWC)), [tokens], 3)
        by_content = ((q * self.head_dim**-0.5) @ k.transpose(-2, -1)).softmax(-1)
        gates_N11 = self.gates_N.sigmoid().reshape(-1, 1, 1)
        weights_BNTT = (1 - gates_N11) * by_content + gates_N11 * self.by_position()
        return self.project(self.join(weights_BNTT @ v, self.size))

    def by_position(self) -> Tensor:
        """(N, T, T): a softmax over the map, whose logits are a sum of rows' and columns'."""
        (height, width), tokens = self.size, math.prod(self.size)
        rows_NHH = self._along(self.rows_11H, 1).reshape(-1, height, 1, height, 1)
        columns_NWW = self._along(self.columns_11W, 2).reshape(-1, 1, width, 1, width)
        return (rows_NHH * columns_NWW).reshape(-1, tokens, tokens)

    def _along(self, positions_11J: Tensor, axis: int) -> Tensor:
        """Weights of the positions j along one side for each i: (N, I, J).

        Logits are a * (j - i) ** 2 + b * (j - i), less what all j have in common.
        """
        of_square = self.places_N3[:, 0].reshape(-1, 1, 1)
        of_offset = self.places_N3[:, axis].reshape(-1, 1, 1)
        scaled_N1J = of_square * positions_11J
        slopes_NIJ = scaled_N1J + of_offset - 2 * scaled_N1J.transpose(1, 2)
        return (slopes_NIJ * positions_11J).softmax(-1)


def first_offsets(heads: int) -> list[Sides]:
    """Rows and columns to which heads attend first: from the middle outwards, square by square."""
    reach = math.isqrt(heads)
    side = range(-reach, reach + 1)
    grid = product(side, side)
    by_square = sorted(grid, key=lambda at: (max(map(abs, at)), sum(map(abs, at)), at))
    return by_square[:heads]


def first_places(heads: int) -> Tensor:
    """By which `first_offsets` have the largest weights: (N, 3)."""
    offsets_N2 = torch.tensor(first_offsets(heads), dtype=torch.float32)
    return LOCALITY * torch.cat((-torch.ones(heads, 1), 2 * offsets_N2), 1)


@final
@MIXERS.register
class ElasticConViT(AbstractElasticAttention):
    """Elastic width and heads; whole heads can be pruned, with their places and gates."""

    plain: ClassVar[type[nn.Module]] = PlainConViT
    axes: ClassVar[Axes] = {**QKV_AXES, "places_N3": ("heads", None), "gates_N": ("heads",)}
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = QKV_WITHOUT_GRADIENT

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Rows and columns of matrices, places and gates follow the heads."""
        return self.head_sizes(signature)
