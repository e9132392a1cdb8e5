"""CrossViT's fusion of two granularities.

Source: Chen et al., CrossViT (2021), section 3.3; declaration and departures in
search_spaces/operators/crossvit.py. Shapes: B batch, H W space, T tokens, N heads, D channels of a
head, C channels.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.crossvit import of_patches
from supernets._elastic import Axes, Index, inside
from supernets._heads import KV_WITHOUT_GRADIENT, AbstractHeads, attended, head_sizes, head_weights
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets.criteria._base import GroupWeights, joined
from supernets.mixers._base import MIXERS, AbstractElasticMixer
from supernets.mixers.sra import REDUCTION_AXES, ElasticSRA, PlainSRA, reduced, reduction_sizes


class Fusion(AbstractHeads):
    """Attention of one query to the tokens of another branch."""

    makes_values: ClassVar[str] = "kv"

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        self.width = signature.shape.width
        self.heads = signature.kept.number("heads")
        self.head_dim = signature.pick.number("head_dim")
        inner = self.heads * self.head_dim
        self.q = nn.Linear(self.width, inner)
        self.kv = nn.Linear(self.width, 2 * inner)
        self.project = nn.Linear(inner, self.width)

    def forward(self, query_B1C: Tensor, x_BTC: Tensor, tokens: int) -> Tensor:
        """(B, 1, C), without shortcut.

        Args:
            query_B1C: What asks.
            x_BTC: Whom.
            tokens: How many.
        """
        q_BN1D = self.q(query_B1C).reshape(-1, self.heads, 1, self.head_dim)
        k, v = self.split_parts(self.kv(x_BTC), [tokens], 2)
        mixed_BN1D = attended(q_BN1D * self.head_dim**-0.5, k, v)
        return self.project(mixed_BN1D.reshape(-1, 1, self.heads * self.head_dim))


class PlainCrossViT(nn.Module):
    """Norm, patches that attend, two queries to the other granularity, sum of all."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, self.ratio = signature.shape, signature.pick.number("sr_ratio")
        self.size, self.width = shape.size, shape.width
        coarse = of_patches(signature)
        self.patches = coarse.shape.size
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
        if self.ratio > 1:
            self.reduce = nn.Conv2d(shape.width, shape.width, self.ratio, self.ratio)
            self.reduce_norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
            self.enlarge = nn.Upsample(scale_factor=self.ratio, mode="nearest")
        self.attention = PlainSRA(coarse)
        self.to_coarse = Fusion(signature)
        self.to_fine = Fusion(signature)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        fine_BHWC = self.norm(x_BHWC)
        coarse_BHWC = self._reduced(fine_BHWC)
        mixed_BHWC = self.attention(coarse_BHWC)
        fine, coarse = math.prod(self.size), math.prod(self.patches)
        fine_BTC = fine_BHWC.reshape(-1, fine, self.width)
        coarse_BTC = (coarse_BHWC + mixed_BHWC).reshape(-1, coarse, self.width)
        to_fine = self.to_fine(coarse_BTC.mean(1, keepdim=True), fine_BTC, fine)
        to_coarse = self.to_coarse(fine_BTC.mean(1, keepdim=True), coarse_BTC, coarse)
        returned_BHWC = mixed_BHWC + to_fine.reshape(-1, 1, 1, self.width)
        return self._enlarged(returned_BHWC) + to_coarse.reshape(-1, 1, 1, self.width)

    def _reduced(self, x_BHWC: Tensor) -> Tensor:
        """(B, H / R, W / R, C)."""
        return x_BHWC if self.ratio == 1 else reduced(x_BHWC, self.reduce, self.reduce_norm)

    def _enlarged(self, x_BHWC: Tensor) -> Tensor:
        """(B, H, W, C)."""
        if self.ratio == 1:
            return x_BHWC
        enlarged: Tensor = self.enlarge(x_BHWC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return enlarged


FUSIONS = ("to_coarse", "to_fine")


@final
@MIXERS.register
class ElasticCrossViT(AbstractElasticMixer):
    """Elastic width, heads and patches; whole heads can be pruned."""

    has_shortcut: ClassVar[bool] = True
    plain: ClassVar[type[nn.Module]] = PlainCrossViT
    prunable: ClassVar[tuple[str, ...]] = ("heads",)
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **REDUCTION_AXES,
        **inside("attention", ElasticSRA.axes),
        **{
            name: roles
            for fusion in FUSIONS
            for name, roles in {
                **linear_axes(f"{fusion}.q", "inner", "width"),
                **linear_axes(f"{fusion}.kv", "kv", "width"),
                **linear_axes(f"{fusion}.project", "width", "inner"),
            }.items()
        },
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = {
        f"{part}.{name}": which
        for part in ("attention", *FUSIONS)
        for name, which in KV_WITHOUT_GRADIENT.items()
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Rows and columns of all three attentions follow the heads."""
        assert isinstance(self.full, PlainCrossViT)
        width, num_heads = signature.shape.width, signature.pick.number("num_heads")
        heads = self.kept("heads", num_heads, signature)
        own = head_sizes(heads, self.full.attention)
        return {"width": width, **own, **reduction_sizes(signature)}

    def group_weights(self) -> dict[str, GroupWeights]:
        """Each head's rows of the values and columns of the projections, of all attentions."""
        assert isinstance(self.full, PlainCrossViT)
        parts = [self.full.attention, self.full.to_coarse, self.full.to_fine]
        return {"heads": joined([head_weights(part) for part in parts])}
