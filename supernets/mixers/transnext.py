"""TransNeXt's aggregated attention.

Source: Shi, TransNeXt (2023); declaration and departures in search_spaces/operators/transnext.py.
Shapes: B batch, C channels, H W space, N heads, D channels of a head, T positions, P cells of the
pooled map, K taps.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import Signature
from search_spaces.operators.transnext import HIDDEN, KERNEL_SIZE
from supernets._elastic import Axes, Index
from supernets._heads import AbstractHeads, attended
from supernets._modules import NORM_EPS, linear_axes, norm_axes, unit
from supernets._neighbours import NeighbourProduct, NeighbourSum, within
from supernets._pooled_bias import GeneratedPooledBias, spread
from supernets.mixers._attention import AbstractElasticAttention
from supernets.mixers._base import MIXERS

TEMPERATURE = 1 / 0.24
"""At first: the paper's."""

TAPS = KERNEL_SIZE**2


class PlainTransNeXt(AbstractHeads):
    """Norm, cosines to neighbours and to pooled cells, one softmax, both sums."""

    makes_values: ClassVar[str] = "kv"

    log_keys_T1: Tensor

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        pick, shape = signature.pick, signature.shape
        self.size, self.width, self.tokens = shape.size, shape.width, shape.pixels
        self.ratio = pick.number("sr_ratio")
        self.heads, self.head_dim = signature.kept.number("heads"), pick.number("head_dim")
        rows, columns = (side // self.ratio for side in shape.size)
        self.pooled, self.cells = (rows, columns), rows * columns
        inner = self.heads * self.head_dim
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
        self.q = nn.Linear(shape.width, inner)
        self.kv = nn.Linear(shape.width, 2 * inner)
        self.query_embedding = nn.Parameter(0.02 * torch.randn(self.heads, 1, self.head_dim))
        start = math.log(math.expm1(TEMPERATURE))
        self.temperature = nn.Parameter(torch.full((self.heads, 1, 1), start))
        self.bias = GeneratedPooledBias(self.pooled, self.ratio, self.heads, HIDDEN)
        self.project = nn.Linear(inner, shape.width)
        if self.ratio > 1:
            self.reduce = nn.Linear(shape.width, shape.width)
            self.act, self.pool = nn.GELU(), nn.AvgPool2d(self.ratio)
            self.reduce_norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
            self.product = NeighbourProduct(inner, shape.size, KERNEL_SIZE, self.head_dim)
            self.sum = NeighbourSum(inner, shape.size, KERNEL_SIZE, self.head_dim)
            self.local_bias = nn.Parameter(torch.zeros(KERNEL_SIZE, KERNEL_SIZE, self.heads))
            self.learnt_tokens = nn.Parameter(0.02 * torch.randn(self.heads, self.head_dim, TAPS))
            self.token_bias = nn.Parameter(torch.zeros(self.heads, 1, TAPS))
        # Not part of the state: it follows from the map, and stays real on the meta device.
        self.register_buffer("log_keys_T1", self._log_keys(), persistent=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        (height, width), inner = self.size, self.heads * self.head_dim
        x_BTC = self.norm(x_BHWC).reshape(-1, self.tokens, self.width)
        q = unit(self.split(self.q(x_BTC), self.tokens))
        scale = F.softplus(self.temperature) * self.log_keys_T1
        scaled = (q + self.query_embedding) * scale
        seen, num_keys = x_BTC, self.cells
        if self.ratio > 1:
            seen, num_keys = (
                torch.cat((x_BTC, self._pooled(x_BTC)), dim=1),
                self.tokens + self.cells,
            )
        k, v = self.split_parts(self.kv(seen), [num_keys], 2)
        k = unit(k)
        if self.ratio > 1:
            mixed = self._aggregated(q, scaled, k, v)
        else:
            mixed = attended(scaled, k, v, self._bias()).transpose(1, 2)
        return self.project(mixed.reshape(-1, height, width, inner))

    def _aggregated(self, q: Tensor, scaled: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(B, T, N * D), from queries (B, N, T, D) and keys and values (B, N, T + P, D)."""
        parts = [self.tokens, self.cells]
        (k, pooled_k), (v, pooled_v) = k.split(parts, dim=2), v.split(parts, dim=2)
        local = self.product(self._map(scaled), self._map(k), self.local_bias)
        local = local.reshape(-1, TAPS, self.heads, self.tokens).permute(0, 2, 3, 1)
        pooled = scaled @ pooled_k.transpose(-2, -1) + self._bias()
        weights = torch.cat((local, pooled), dim=-1).softmax(-1)
        local, pooled = weights.split([TAPS, self.cells], dim=-1)
        kernels = local + (q @ self.learnt_tokens + self.token_bias)
        of_neighbours = self.sum(self._map(v), kernels.permute(0, 3, 1, 2))
        mixed = of_neighbours + self._map(pooled @ pooled_v)
        return mixed.permute(0, 2, 3, 1)

    def _bias(self) -> Tensor:
        """Of positions and cells, (N, T, P)."""
        return spread(self.bias(), self.pooled, self.ratio, self.heads)

    def _pooled(self, x_BTC: Tensor) -> Tensor:
        """(B, P, C)."""
        x_BHWC = self.act(self.reduce(x_BTC)).reshape(-1, *self.size, self.width)
        x_BCHW = self.pool(x_BHWC.permute(0, 3, 1, 2))
        pooled: Tensor = self.reduce_norm(
            x_BCHW.permute(0, 2, 3, 1).reshape(-1, self.cells, self.width)
        )
        return pooled

    def _map(self, x_BNTD: Tensor) -> Tensor:
        """(B, N * D, H, W)."""
        return x_BNTD.transpose(2, 3).reshape(-1, self.heads * self.head_dim, *self.size)

    def _log_keys(self) -> Tensor:
        """Logarithm of the number of keys of every position, (T, 1); of all if it is one number."""
        with torch.device("cpu"):
            if self.ratio == 1:
                return torch.full((1, 1), float(self.cells)).log()
            rows, columns = (within(side, KERNEL_SIZE, 1).sum(0) for side in self.size)
            return (rows[:, None] * columns + self.cells).float().log().reshape(-1, 1)


@final
@MIXERS.register
class ElasticTransNeXt(AbstractElasticAttention):
    """Elastic width, heads and reduction; whole heads can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainTransNeXt
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **linear_axes("q", "inner", "width"),
        **linear_axes("kv", "kv", "width"),
        "query_embedding": ("heads", None, None),
        "temperature": ("heads", None, None),
        "bias.hidden_weight": (None, None),
        "bias.hidden_bias": (None,),
        "bias.weight": ("heads", None),
        "bias.bias": ("heads",),
        **linear_axes("reduce", "reduced", "reduced"),
        **norm_axes("reduce_norm", "reduced"),
        "local_bias": (None, None, "local"),
        "learnt_tokens": ("local", None, None),
        "token_bias": ("local", None, None),
        **linear_axes("project", "width", "inner"),
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = {"bias.bias": (0, 1)}
    """Without reduction softmax ignores it."""

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Rows of queries, keys and values, and columns of the projection, follow the heads."""
        own, is_pooled = self.head_sizes(signature), signature.pick.number("sr_ratio") > 1
        return {
            **own,
            "reduced": signature.shape.width if is_pooled else 0,
            "local": own["heads"] if is_pooled else 0,
        }
