"""Cross-shaped window attention; source and departures in search_spaces/operators/cswin.py.

Shapes: B batch, H W space, C channels.
"""

from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.cswin import LEPE_KERNEL_SIZE, stripes
from supernets._blocked import BlockedAttention
from supernets._elastic import Axes, Index
from supernets._heads import QKV_AXES, QKV_WITHOUT_GRADIENT, AbstractHeads, inner_channels, stacked
from supernets._modules import NORM_EPS
from supernets.criteria._base import GroupWeights
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class PlainCSWin(AbstractHeads):
    """Norm, attention in stripes of both directions, a convolution of the values, projection.

    The first half of the heads has horizontal stripes.
    """

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        pick, shape = signature.pick, signature.shape
        self.size, self.pairs = shape.size, signature.kept.number("pairs")
        self.heads, self.head_dim = 2 * self.pairs, pick.number("head_dim")
        self.inner = self.heads * self.head_dim
        directions = stripes(pick, shape.size)
        heads = self.heads // len(directions)
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
        self.qkv = nn.Linear(shape.width, 3 * self.inner)
        self.lepe = nn.Conv2d(
            self.inner,
            self.inner,
            LEPE_KERNEL_SIZE,
            padding=LEPE_KERNEL_SIZE // 2,
            groups=self.inner,
        )
        self.project = nn.Linear(self.inner, shape.width)
        self.attentions = nn.ModuleList(
            BlockedAttention(*sides, heads, self.head_dim) for sides in directions
        )

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        x_BHWC = self.qkv(self.norm(x_BHWC))
        lepe_BCHW = self.lepe(x_BHWC.split(self.inner, -1)[2].permute(0, 3, 1, 2))
        q, k, v = self.split_parts(x_BHWC, self.size, 3)
        q = q * self.head_dim**-0.5
        if len(self.attentions) == 1:
            mixed_BHWC = self.attentions[0](q, k, v)
        else:
            q, k, v = (x.split(self.pairs, 1) for x in (q, k, v))
            horizontal = self.attentions[0](q[0], k[0], v[0])
            vertical = self.attentions[1](q[1], k[1], v[1])
            mixed_BHWC = torch.cat([horizontal, vertical], -1)
        return self.project(mixed_BHWC + lepe_BCHW.permute(0, 2, 3, 1))


@final
@MIXERS.register
class ElasticCSWin(AbstractElasticMixer):
    """Elastic width, heads and stripes; pairs of heads can be pruned."""

    has_shortcut: ClassVar[bool] = True
    plain: ClassVar[type[nn.Module]] = PlainCSWin
    prunable: ClassVar[tuple[str, ...]] = ("pairs",)
    axes: ClassVar[Axes] = {
        **QKV_AXES,
        "lepe.weight": ("inner", None, None, None),
        "lepe.bias": ("inner",),
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = QKV_WITHOUT_GRADIENT

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The pairs' horizontal heads, then their vertical ones, of queries, keys and values."""
        assert isinstance(self.full, PlainCSWin)
        full = self.full
        pairs = self.kept("pairs", signature.pick.number("num_heads") // 2, signature)
        half = inner_channels(pairs, full.head_dim, full.qkv.weight.device)
        inner = stacked(half, 2, full.pairs * full.head_dim)
        return {
            "width": signature.shape.width,
            "inner": inner,
            "qkv": stacked(inner, 3, full.inner),
        }

    def group_weights(self) -> dict[str, GroupWeights]:
        """Rows of the values and columns of the projection, both heads of a pair side by side."""
        assert isinstance(self.full, PlainCSWin)
        full = self.full
        order = torch.arange(full.inner, device=full.qkv.weight.device)
        order = order.reshape(2, full.pairs, full.head_dim).transpose(0, 1).flatten()
        values = full.qkv.weight[2 * full.inner :].index_select(0, order)
        read_by = full.project.weight.index_select(1, order).transpose(0, 1)
        return {"pairs": GroupWeights(values, read_by, None, full.pairs)}
