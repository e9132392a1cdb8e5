"""Global attention with keys and values from a smaller map.

Source: Wang et al., Pyramid Vision Transformer (2021), section 3.3; declaration and departures in
search_spaces/operators/sra.py. Shapes: B batch, H W space, R reduction, N heads, D channels of a
head, C channels.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import Axes, Index
from supernets._heads import KV_WITHOUT_GRADIENT, AbstractHeads, attended
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets.mixers._attention import AbstractElasticAttention
from supernets.mixers._base import MIXERS


class PlainSRA(AbstractHeads):
    """Norm, queries from the map, keys and values from the reduced map, attention."""

    makes_values: ClassVar[str] = "kv"

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        pick, shape = signature.pick, signature.shape
        self.size, self.width = shape.size, shape.width
        self.ratio = pick.number("sr_ratio")
        self.heads, self.head_dim = signature.kept.number("heads"), pick.number("head_dim")
        inner = self.heads * self.head_dim
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
        self.q = nn.Linear(shape.width, inner)
        self.kv = nn.Linear(shape.width, 2 * inner)
        self.project = nn.Linear(inner, shape.width)
        if self.ratio > 1:
            self.reduce = nn.Conv2d(shape.width, shape.width, self.ratio, self.ratio)
            self.reduce_norm = nn.LayerNorm(shape.width, eps=NORM_EPS)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        tokens = math.prod(self.size)
        keys = tokens // self.ratio**2
        x_BHWC = self.norm(x_BHWC)
        q = self.split(self.q(x_BHWC.reshape(-1, tokens, self.width)), tokens)
        kv = self.kv(self._reduced(x_BHWC).reshape(-1, keys, self.width))
        k, v = self.split_parts(kv, [keys], 2)
        mixed = self.join(attended(q * self.head_dim**-0.5, k, v), [tokens])
        return self.project(mixed).reshape(-1, *self.size, self.width)

    def _reduced(self, x_BHWC: Tensor) -> Tensor:
        """(B, H / R, W / R, C)."""
        return x_BHWC if self.ratio == 1 else reduced(x_BHWC, self.reduce, self.reduce_norm)


def reduced(x_BHWC: Tensor, conv: nn.Conv2d, norm: nn.LayerNorm) -> Tensor:
    """(B, H / R, W / R, C): patches made one by a convolution, and normalised."""
    normed: Tensor = norm(conv(x_BHWC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
    return normed


REDUCTION_AXES: Axes = {
    "reduce.weight": ("reduced", "reduced", "kernel_reduce", "kernel_reduce"),
    "reduce.bias": ("reduced",),
    **norm_axes("reduce_norm", "reduced"),
}
"""Of that convolution and norm."""


@final
@MIXERS.register
class ElasticSRA(AbstractElasticAttention):
    """Elastic width, heads and reduction; whole heads can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainSRA
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **REDUCTION_AXES,
        **linear_axes("q", "inner", "width"),
        **linear_axes("kv", "kv", "width"),
        **linear_axes("project", "width", "inner"),
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = KV_WITHOUT_GRADIENT

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Rows of queries, keys and values, and columns of the projection, follow the heads."""
        return {**self.head_sizes(signature), **reduction_sizes(signature)}


def reduction_sizes(signature: Signature) -> dict[str, Index]:
    """Roles of the convolution that reduces the map; none of it is used without reduction."""
    width, ratio = signature.shape.width, signature.pick.number("sr_ratio")
    return {
        "reduced": width if ratio > 1 else 0,
        "kernel_reduce": ratio if ratio > 1 else 0,
    }
