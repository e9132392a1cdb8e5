"""Combiner's factorised attention.

Source: Ren et al., Combiner (2021); declaration and departures in
search_spaces/operators/combiner.py. Shapes: B batch, C channels, H W space, N heads, G blocks,
T positions of a block, D channels of a head.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.window import num_windows
from supernets._elastic import Axes, Index
from supernets._heads import QKV_AXES, QKV_WITHOUT_GRADIENT, AbstractHeads, attended
from supernets._modules import MASKED, NORM_EPS
from supernets._windows import merged, parted
from supernets.mixers._attention import AbstractElasticAttention
from supernets.mixers._base import MIXERS


class PlainCombiner(AbstractHeads):
    """Norm, one softmax over the own block's positions and other blocks, both sums."""

    own_G1G: Tensor | None

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        pick, shape = signature.pick, signature.shape
        self.size, self.width, self.part = shape.size, shape.width, pick.sides("block_sides")
        self.grid = num_windows(self.size, self.part)
        self.blocks = math.prod(self.grid)
        self.tokens = math.prod(self.part)
        self.heads, self.head_dim = signature.kept.number("heads"), pick.number("head_dim")
        inner = self.heads * self.head_dim
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
        self.qkv = nn.Linear(shape.width, 3 * inner)
        self.project = nn.Linear(inner, shape.width)
        # Not part of the state: it follows from the map, and stays real on the meta device.
        with torch.device("cpu"):
            own_G1G = (torch.eye(self.blocks) * MASKED).unsqueeze(1)
        self.register_buffer("own_G1G", own_G1G if self.blocks > 1 else None, persistent=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        qkv = self.qkv(parted(self.norm(x_BHWC), self.grid, self.part, self.width))
        q, k, v = self.split_parts(qkv, [self.blocks, self.tokens], 3)
        mixed = self.combined(q * self.head_dim**-0.5, k, v)
        mixed = mixed.permute(0, 2, 3, 1, 4)
        mixed = mixed.reshape(-1, self.tokens, self.heads * self.head_dim)
        return merged(self.project(mixed), self.grid, self.part, self.width)

    def combined(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(B, N, G, T, D), from queries that are scaled, keys and values of that shape."""
        if self.own_G1G is None:
            return attended(q, k, v)
        local, key_BNGD = q @ k.transpose(-2, -1), k.mean(3)
        value_BN1GD = attended(q.mean(3, keepdim=True), k, v).transpose(2, 3)
        summaries = q @ key_BNGD.unsqueeze(2).transpose(-2, -1) + self.own_G1G
        weights = torch.cat((local, summaries), dim=-1).softmax(-1)
        local, summaries = weights.split([self.tokens, self.blocks], dim=-1)
        return local @ v + summaries @ value_BN1GD


@final
@MIXERS.register
class ElasticCombiner(AbstractElasticAttention):
    """Elastic width, heads and blocks; whole heads can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainCombiner
    axes: ClassVar[Axes] = QKV_AXES
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = QKV_WITHOUT_GRADIENT

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Rows of queries, keys and values, and columns of the projection, follow the heads."""
        return self.head_sizes(signature)
