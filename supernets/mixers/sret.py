"""Attention inside of groups of tokens; source and departures in search_spaces/operators/sret.py.

Shapes: B batch, C channels, H W space, G groups, T tokens of a group, N heads, D channels of each.
"""

from collections.abc import Mapping
from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import Axes, Index
from supernets._heads import QKV_AXES, QKV_WITHOUT_GRADIENT, AbstractHeads, attended
from supernets._modules import NORM_EPS
from supernets.mixers._attention import AbstractElasticAttention
from supernets.mixers._base import MIXERS


class PlainSReT(AbstractHeads):
    """Norm, attention inside of groups of neighbouring tokens, or of tokens spread over the map."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        pick, shape = signature.pick, signature.shape
        self.size, self.groups = shape.size, pick.number("num_groups")
        self.tokens = shape.pixels // self.groups
        self.first = pick.number("is_spread") if "is_spread" in pick else 0
        self.heads, self.head_dim = signature.kept.number("heads"), pick.number("head_dim")
        inner = self.heads * self.head_dim
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
        self.qkv = nn.Linear(shape.width, 3 * inner)
        self.project = nn.Linear(inner, shape.width)

    def forward(self, x_BHWC: Tensor, number: int = 0) -> Tensor:
        """The shape that came in, without shortcut.

        Args:
            x_BHWC: The map.
            number: Of the pass, from 0.
        """
        is_spread = self.groups > 1 and (self.first + number) % 2 == 1
        q, k, v = self._split(self.qkv(self.norm(x_BHWC)), is_spread=is_spread)
        mixed = attended(q * self.head_dim**-0.5, k, v)
        return self.project(self._joined(mixed, is_spread=is_spread))

    def _split(self, x: Tensor, *, is_spread: bool) -> tuple[Tensor, ...]:
        """Queries, keys and values of the groups: (B, G, N, T, D) each."""
        if not is_spread:
            return self.split_groups(x, self.groups, self.tokens, 3)
        x = x.reshape(-1, self.tokens, self.groups, 3, self.heads, self.head_dim)
        x = x.permute(3, 0, 2, 4, 1, 5)
        return tuple(x[part] for part in range(3))

    def _joined(self, x: Tensor, *, is_spread: bool) -> Tensor:
        """(B, H, W, N * D) of (B, G, N, T, D), every token where it was."""
        x = x.permute(0, 3, 1, 2, 4) if is_spread else x.permute(0, 1, 3, 2, 4)
        return x.reshape(-1, *self.size, self.heads * self.head_dim)


@final
@MIXERS.register
class ElasticSReT(AbstractElasticAttention):
    """Elastic width and heads; whole heads can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainSReT
    sees_pass: ClassVar[bool] = True
    axes: ClassVar[Axes] = QKV_AXES
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = QKV_WITHOUT_GRADIENT

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Rows of queries, keys and values, and columns of the projection, follow the heads."""
        return self.head_sizes(signature)
