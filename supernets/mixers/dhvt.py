"""DHVT's attention with tokens of heads.

Source: Lu et al., Bridging the Gap Between Vision Transformers and Convolutional Neural Networks on
Small Datasets (2022); declaration and departures in search_spaces/operators/dhvt.py. Shapes:
B batch, C channels, H W space, N heads, D channels of a head, T positions.
"""

from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import Axes, Index
from supernets._heads import QKV_AXES, QKV_WITHOUT_GRADIENT, AbstractHeads, attended
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets.mixers._attention import AbstractElasticAttention
from supernets.mixers._base import MIXERS


class PlainDHVT(AbstractHeads):
    """Norm, tokens of heads beside those of the map, attention, the mean of heads added."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        pick, shape = signature.pick, signature.shape
        self.size, self.width, self.tokens = shape.size, shape.width, shape.pixels
        self.heads, self.head_dim = signature.kept.number("heads"), pick.number("head_dim")
        inner = self.heads * self.head_dim
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
        self.features = nn.Linear(shape.width, inner)
        self.token = nn.Linear(self.head_dim, shape.width)
        self.token_norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
        self.act = nn.GELU()
        self.embedding = nn.Parameter(0.02 * torch.randn(self.heads, shape.width))
        self.qkv = nn.Linear(shape.width, 3 * inner)
        self.project = nn.Linear(inner, shape.width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        all_tokens = self.tokens + self.heads
        x_BTC = self.norm(x_BHWC).reshape(-1, self.tokens, self.width)
        tokens = torch.cat((x_BTC, self.head_tokens(x_BTC)), dim=1)
        q, k, v = self.split_parts(self.qkv(tokens), [all_tokens], 3)
        mixed = self.join(attended(q * self.head_dim**-0.5, k, v), [all_tokens])
        y_BTC, of_heads = self.project(mixed).split([self.tokens, self.heads], dim=1)
        return (y_BTC + of_heads.mean(1, keepdim=True)).reshape(-1, *self.size, self.width)

    def head_tokens(self, x_BTC: Tensor) -> Tensor:
        """(B, N, C)."""
        features = self.features(x_BTC.mean(1)).reshape(-1, self.heads, self.head_dim)
        tokens: Tensor = self.act(self.token_norm(self.token(features))) + self.embedding
        return tokens


@final
@MIXERS.register
class ElasticDHVT(AbstractElasticAttention):
    """Elastic width and heads; whole heads can be pruned, with their tokens."""

    plain: ClassVar[type[nn.Module]] = PlainDHVT
    axes: ClassVar[Axes] = {
        **QKV_AXES,
        **linear_axes("features", "inner", "width"),
        **linear_axes("token", "width", None),
        **norm_axes("token_norm", "width"),
        "embedding": ("heads", "width"),
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = QKV_WITHOUT_GRADIENT

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Rows of features, queries, keys and values, and columns behind, follow the heads."""
        return self.head_sizes(signature)
