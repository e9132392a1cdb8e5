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
from supernets._heads import head_weights, inner_channels, stacked
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets._windows import covered, cut, merged, padded, parted
from supernets.criteria._base import GroupWeights
from supernets.mixers._base import MIXERS, AbstractElasticMixer
from supernets.mixers.window import num_offsets, relative_position


class PlainGCViT(nn.Module):
    """Norm, queries of the pooled map, keys and values of each window, attention, back."""

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
        kv = kv.reshape(-1, number, tokens, 2, self.heads, self.head_dim).permute(3, 0, 1, 4, 2, 5)
        bias = self.bias_table[:, self.position_TT].reshape(self.heads, tokens, tokens)
        weights_BGNTT = (q_B1NTD @ kv[0].transpose(-2, -1) + bias).softmax(-1)
        mixed = (weights_BGNTT @ kv[1]).transpose(2, 3)
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
class ElasticGCViT(AbstractElasticMixer):
    """Elastic width and heads; whole heads can be pruned."""

    has_shortcut: ClassVar[bool] = True
    plain: ClassVar[type[nn.Module]] = PlainGCViT
    is_sized: ClassVar[bool] = True
    prunable: ClassVar[tuple[str, ...]] = ("heads",)
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **linear_axes("q", "inner", "width"),
        **linear_axes("kv", "kv", "width"),
        **linear_axes("project", "width", "inner"),
        "bias_table": ("heads", None),
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = {"kv.bias": (0, 2)}

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Rows of queries, keys and values, columns of the projection and tables follow heads."""
        assert isinstance(self.full, PlainGCViT)
        heads = self.kept("heads", signature.pick.number("num_heads"), signature)
        inner = inner_channels(heads, self.full.head_dim, self.full.q.weight.device)
        return {
            "width": signature.shape.width,
            "heads": heads,
            "inner": inner,
            "kv": stacked(inner, 2, self.full.heads * self.full.head_dim),
        }

    def group_weights(self) -> dict[str, GroupWeights]:
        """Each head's rows of the values and columns of the projection."""
        assert isinstance(self.full, PlainGCViT)
        values = self.full.kv.weight[self.full.heads * self.full.head_dim :]
        return {"heads": head_weights(values, self.full.project.weight, self.full.heads)}
