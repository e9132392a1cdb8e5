"""Linear attention, concentrated by convolutions.

Source: Zheng, The Linear Attention Resurrection in Vision Transformer (2025); declaration and
departures in search_spaces/operators/l2vit.py. Shapes: B batch, H W space, N heads, T tokens,
D channels of a head, C channels.
"""

import math
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import Signature
from supernets._elastic import KERNEL, Axes, Index
from supernets._heads import QKV_AXES, AbstractHeads
from supernets._modules import NORM_EPS, RESIDUAL_END, ConvNorm, conv_norm_axes, norm_axes
from supernets.mixers._attention import AbstractElasticAttention
from supernets.mixers._base import MIXERS

LEAST = 1.0
"""What attention is divided by at least."""


class PlainL2ViT(AbstractHeads):
    """Norm, linear attention, projection; norm and two convolutions of the sum with the map."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        pick, shape = signature.pick, signature.shape
        width, kernel_size = shape.width, pick.number("kernel_size")
        self.size = shape.size
        self.heads, self.head_dim = signature.kept.number("heads"), pick.number("head_dim")
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.qkv = nn.Linear(width, 3 * self.heads * self.head_dim)
        self.scale_N = nn.Parameter(torch.full((self.heads,), self.head_dim**-0.5))
        self.project = nn.Linear(self.heads * self.head_dim, width)
        self.concentration_norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.concentration = nn.ModuleDict(
            {
                name: ConvNorm(width, width, kernel_size, groups=width, has_act=False)
                for name in ("see", RESIDUAL_END)
            }
        )
        self.act = nn.GELU()

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without the shortcut around all of it."""
        mixed = self._attended(self.norm(x_BHWC))
        x_BCHW = self.concentration_norm(x_BHWC + mixed).permute(0, 3, 1, 2)
        concentrated = self.concentration[RESIDUAL_END](self.act(self.concentration["see"](x_BCHW)))
        return mixed + concentrated.permute(0, 2, 3, 1)

    def _attended(self, x_BHWC: Tensor) -> Tensor:
        """Keys meet values first, so nothing has as many numbers as pairs of positions."""
        tokens = math.prod(self.size)
        q, k, v = self.split_parts(self.qkv(x_BHWC), [tokens], 3)
        q, k = positive(q), positive(k)
        divisor_BNT1 = (q * k.sum(-2, keepdim=True)).sum(-1, keepdim=True).clamp(min=LEAST)
        context_BNDD = (k.transpose(-2, -1) @ v) * self.scale_N.reshape(-1, 1, 1)
        mixed_BNTD = (q @ context_BNDD) / divisor_BNT1
        return self.project(self.join(mixed_BNTD, self.size))


def positive(x: Tensor) -> Tensor:
    """The map of queries and keys in place of softmax."""
    return F.elu(x) + 1


@final
@MIXERS.register
class ElasticL2ViT(AbstractElasticAttention):
    """Elastic width, heads and kernel; whole heads can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainL2ViT
    axes: ClassVar[Axes] = {
        **QKV_AXES,
        "scale_N": ("heads",),
        **norm_axes("concentration_norm", "width"),
        **conv_norm_axes("concentration.see", "width", None, KERNEL),
        **conv_norm_axes(f"concentration.{RESIDUAL_END}", "width", None, KERNEL),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Rows and columns of matrices follow the heads; the centres of the kernels."""
        return {**self.head_sizes(signature), KERNEL: signature.pick.number("kernel_size")}
