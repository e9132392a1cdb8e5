"""TiC's self-attention convolution.

Source: Zhang et al., TiC (2023); declaration and departures in search_spaces/operators/tic.py.
Shapes: B batch, C channels, H W space, N heads, T taps of the kernel.
"""

from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.tic import shifted_widths
from supernets._elastic import KERNEL, Axes, Index
from supernets._heads import KV_WITHOUT_GRADIENT, AbstractHeads
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets._neighbours import NeighbourProduct, NeighbourSum
from supernets.mixers._attention import AbstractElasticAttention
from supernets.mixers._base import MIXERS


class PlainTiC(AbstractHeads):
    """Norm, queries of the map, keys and values of it shifted and pooled, attention to taps."""

    makes_values: ClassVar[str] = "kv"

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        pick, shape = signature.pick, signature.shape
        self.heads, self.head_dim = signature.kept.number("heads"), pick.number("head_dim")
        kernel_size, dilation = pick.number("kernel_size"), pick.number("dilation")
        inner = self.heads * self.head_dim
        self.inner = inner
        self.parts = [part for part in shifted_widths(shape.width) if part]
        reach = dilation * (kernel_size // 2)
        rows, columns = (reach % side for side in shape.size)
        self.shifts = [(rows, 2), (-rows, 2), (columns, 3), (-columns, 3)][: len(self.parts)]
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
        self.pool = nn.AvgPool2d(kernel_size, 1, kernel_size // 2, count_include_pad=False)
        self.q = nn.Linear(shape.width, inner)
        self.kv = nn.Linear(shape.width, 2 * inner)
        self.product = NeighbourProduct(inner, shape.size, kernel_size, self.head_dim, dilation)
        self.bias = nn.Parameter(torch.zeros(kernel_size, kernel_size, self.heads))
        self.sum = NeighbourSum(inner, shape.size, kernel_size, self.head_dim, dilation)
        self.project = nn.Linear(inner, shape.width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        x_BHWC = self.norm(x_BHWC)
        q_BCHW = (self.q(x_BHWC) * self.head_dim**-0.5).permute(0, 3, 1, 2)
        kv_BCHW = self.kv(self.extended(x_BHWC)).permute(0, 3, 1, 2)
        k_BCHW, v_BCHW = kv_BCHW.split([self.inner, self.inner], dim=1)
        weights_BTNHW = self.product(q_BCHW, k_BCHW, self.bias).softmax(1)
        mixed_BCHW = self.sum(v_BCHW, weights_BTNHW)
        return self.project(mixed_BCHW.permute(0, 2, 3, 1))

    def extended(self, x_BHWC: Tensor) -> Tensor:
        """What keys and values read, whose positions know of others."""
        x_BCHW = x_BHWC.permute(0, 3, 1, 2)
        parts = x_BCHW.split(self.parts, dim=1)
        shifted = [
            torch.roll(parts[place], by, axis) if by else parts[place]
            for place, (by, axis) in enumerate(self.shifts)
        ]
        return (torch.cat(shifted, dim=1) + self.pool(x_BCHW)).permute(0, 2, 3, 1)


@final
@MIXERS.register
class ElasticTiC(AbstractElasticAttention):
    """Elastic width, heads, kernel and dilation; whole heads can be pruned.

    Which channels are shifted where differs from width to width, as in `inception`.
    """

    plain: ClassVar[type[nn.Module]] = PlainTiC
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **linear_axes("q", "inner", "width"),
        **linear_axes("kv", "kv", "width"),
        "bias": (KERNEL, KERNEL, "heads"),
        **linear_axes("project", "width", "inner"),
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = KV_WITHOUT_GRADIENT

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Rows of queries, keys and values, and columns of the projection, follow the heads."""
        return {**self.head_sizes(signature), KERNEL: signature.pick.number("kernel_size")}
