"""Window attention with global queries.

Source: Hatamizadeh et al., Global Context Vision Transformers (2023); declaration and departures in
search_spaces/operators/gcvit.py. Shapes: B batch, H W space, G windows, T tokens of a window,
N heads, D channels of a head, C channels.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.window import num_windows
from supernets._elastic import Axes, Index
from supernets._heads import KV_WITHOUT_GRADIENT, AbstractHeads, attended
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets._windows import covered, cut, merged, padded, parted
from supernets.mixers._attention import AbstractElasticAttention
from supernets.mixers._base import MIXERS
from supernets.mixers.window import num_offsets, relative_position


class PlainGCViT(AbstractHeads):
    """Norm, queries of the pooled map, keys and values of each window, attention, back."""

    makes_values: ClassVar[str] = "kv"

    position_TT: Tensor

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        pick, shape = signature.pick, signature.shape
        self.size, self.width = shape.size, shape.width
        self.window = pick.sides("window_size")
        self.grid = num_windows(self.size, self.window)
        self.padded = covered(self.grid, self.window)
        self.heads, self.head_dim = signature.kept.number("heads"), pick.number("head_dim")
        inner = self.heads * self.head_dim
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
        self.q = nn.Linear(shape.width, inner)
        self.kv = nn.Linear(shape.width, 2 * inner)
        self.project = nn.Linear(inner, shape.width)
        self.bias_table = nn.Parameter(torch.zeros(self.heads, num_offsets(self.window)))
        if math.prod(self.grid) > 1:
            self.pool = nn.AvgPool2d(self.grid)
        # Not part of the state: it follows from the window, and stays real on the meta device.
        position_TT = relative_position(self.window)
        self.register_buffer("position_TT", position_TT, persistent=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        number, tokens = math.prod(self.grid), math.prod(self.window)
        x_BHWC = padded(self.norm(x_BHWC), self.size, self.padded)
        q = self.q(self._pooled(x_BHWC)).reshape(-1, 1, tokens, self.heads, self.head_dim)
        q_B1NTD = q.transpose(2, 3) * self.head_dim**-0.5
        kv = self.kv(parted(x_BHWC, self.grid, self.window, self.width))
        k, v = self.split_groups(kv, number, tokens, 2)
        bias = self.bias_table[:, self.position_TT].reshape(self.heads, tokens, tokens)
        mixed = attended(q_B1NTD, k, v, bias).transpose(2, 3)
        mixed = self.project(mixed.reshape(-1, tokens, self.heads * self.head_dim))
        x_BHWC = merged(mixed, self.grid, self.window, self.width)
        return cut(x_BHWC, self.size, self.padded)

    def _pooled(self, x_BHWC: Tensor) -> Tensor:
        """A map of a window's size: averages of as many positions each as there are windows."""
        if math.prod(self.grid) == 1:
            return x_BHWC
        pooled: Tensor = self.pool(x_BHWC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return pooled


@final
@MIXERS.register
class ElasticGCViT(AbstractElasticAttention):
    """Elastic width and heads; whole heads can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainGCViT
    is_sized: ClassVar[bool] = True
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **linear_axes("q", "inner", "width"),
        **linear_axes("kv", "kv", "width"),
        **linear_axes("project", "width", "inner"),
        "bias_table": ("heads", None),
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = KV_WITHOUT_GRADIENT

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Rows of queries, keys and values, columns of the projection and tables follow heads."""
        return self.head_sizes(signature)
