"""Attention with convolutional projections.

Source: Wu et al., CvT (2021); declaration and departures in search_spaces/operators/cvt.py.
Shapes: B batch, H W space, N heads, T tokens, D channels of a head, C channels.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.cvt import KERNEL_SIZE, reduced
from supernets._elastic import Axes, Index
from supernets._heads import AbstractHeads, attended
from supernets._modules import NORM_EPS, ConvNorm, conv_norm_axes, linear_axes, norm_axes
from supernets.mixers._attention import AbstractElasticAttention
from supernets.mixers._base import MIXERS


class PlainCvT(AbstractHeads):
    """Norm, three convolutions, three projections, attention, projection."""

    makes_values: ClassVar[str] = "v"

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        pick, shape = signature.pick, signature.shape
        width, ratio = shape.width, pick.number("sr_ratio")
        self.size, self.reduced = shape.size, reduced(shape.size, ratio)
        self.heads, self.head_dim = signature.kept.number("heads"), pick.number("head_dim")
        inner = self.heads * self.head_dim
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.q_conv, self.k_conv, self.v_conv = (
            ConvNorm(width, width, KERNEL_SIZE, stride=stride, groups=width, has_act=False)
            for stride in (1, ratio, ratio)
        )
        self.q, self.k, self.v = (nn.Linear(width, inner) for _ in range(3))
        self.project = nn.Linear(inner, width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        tokens, keys = math.prod(self.size), math.prod(self.reduced)
        x_BCHW = self.norm(x_BHWC).permute(0, 3, 1, 2)
        q_BHWD = self.q(self.q_conv(x_BCHW).permute(0, 2, 3, 1))
        k_BHWD = self.k(self.k_conv(x_BCHW).permute(0, 2, 3, 1))
        v_BHWD = self.v(self.v_conv(x_BCHW).permute(0, 2, 3, 1))
        q_BNTD = self.split(q_BHWD, tokens) * self.head_dim**-0.5
        mixed_BNTD = attended(q_BNTD, self.split(k_BHWD, keys), self.split(v_BHWD, keys))
        return self.project(self.join(mixed_BNTD, self.size))


@final
@MIXERS.register
class ElasticCvT(AbstractElasticAttention):
    """Elastic width, heads and stride; whole heads can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainCvT
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **conv_norm_axes("q_conv", "width", None),
        **conv_norm_axes("k_conv", "width", None),
        **conv_norm_axes("v_conv", "width", None),
        **linear_axes("q", "inner", "width"),
        **linear_axes("k", "inner", "width"),
        **linear_axes("v", "inner", "width"),
        **linear_axes("project", "width", "inner"),
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = {
        "k.bias": (0, 1),
        "k_conv.norm.bias": (0, 1),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Rows of queries, keys and values, and columns of the projection, follow the heads."""
        return self.head_sizes(signature)
