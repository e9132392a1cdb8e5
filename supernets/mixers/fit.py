"""FIT's local attention and latents.

Source: Chen and Li, FIT (2023); declaration and departures in search_spaces/operators/fit.py.
Shapes: B batch, C channels, H W space, G groups, M latents of a group, N heads, D channels of a
head.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.window import num_windows
from supernets._elastic import Axes, Index
from supernets._heads import QKV_AXES, QKV_WITHOUT_GRADIENT, AbstractHeads, attended, stacked
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets._windows import merged, parted
from supernets.mixers._attention import AbstractElasticAttention
from supernets.mixers._base import MIXERS


class PlainFIT(AbstractHeads):
    """Norm, attention inside of groups; latents read, attend to each other and are read."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        pick, shape = signature.pick, signature.shape
        self.size, self.width, self.part = shape.size, shape.width, pick.sides("group_size")
        self.grid = num_windows(self.size, self.part)
        self.groups = math.prod(self.grid)
        self.tokens, self.latents = math.prod(self.part), pick.number("num_latents")
        self.heads, self.head_dim = signature.kept.number("heads"), pick.number("head_dim")
        self.inner = self.heads * self.head_dim
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
        self.qkv = nn.Linear(shape.width, 3 * self.inner)
        self.first = nn.Parameter(torch.randn(self.latents, self.inner))
        self.latent_norm = nn.LayerNorm(self.inner, eps=NORM_EPS)
        self.latent_qkv = nn.Linear(self.inner, 3 * self.inner)
        self.latent_out = nn.Linear(self.inner, self.inner)
        self.latent_kv = nn.Linear(self.inner, 2 * self.inner)
        self.project = nn.Linear(self.inner, shape.width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        groups = parted(self.norm(x_BHWC), self.grid, self.part, self.width)
        q, k, v = self.split_groups(self.qkv(groups), self.groups, self.tokens, 3)
        q = q * self.head_dim**-0.5
        local = attended(q, k, v)
        latents = self.latent_kv(self.interacting(self.read(k, v)))
        k, v = self.split_groups(latents, self.groups, self.latents, 2)
        mixed = (local + attended(q, k, v)).transpose(2, 3)
        mixed = mixed.reshape(-1, self.tokens, self.inner)
        return merged(self.project(mixed), self.grid, self.part, self.width)

    def read(self, k: Tensor, v: Tensor) -> Tensor:
        """What every group's latents are once they read its tokens: (B, G * M, N * D)."""
        q = self.first.reshape(self.latents, self.heads, self.head_dim).transpose(0, 1)
        read = attended(q * self.head_dim**-0.5, k, v).transpose(2, 3)
        latents = self.first + read.reshape(-1, self.groups, self.latents, self.inner)
        return latents.reshape(-1, self.groups * self.latents, self.inner)

    def interacting(self, latents: Tensor) -> Tensor:
        """Latents of all groups once they attended to each other, (B, G * M, N * D)."""
        num = self.groups * self.latents
        q, k, v = self.split_groups(self.latent_qkv(self.latent_norm(latents)), 1, num, 3)
        mixed = attended(q * self.head_dim**-0.5, k, v).transpose(2, 3)
        return latents + self.latent_out(mixed.reshape(-1, num, self.inner))


@final
@MIXERS.register
class ElasticFIT(AbstractElasticAttention):
    """Elastic width, heads and number of latents; whole heads can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainFIT
    axes: ClassVar[Axes] = {
        **QKV_AXES,
        "first": ("latents", "inner"),
        **norm_axes("latent_norm", "inner"),
        **linear_axes("latent_qkv", "qkv", "inner"),
        **linear_axes("latent_out", "inner", "inner"),
        **linear_axes("latent_kv", "kv", "inner"),
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = {
        **QKV_WITHOUT_GRADIENT,
        "latent_qkv.bias": (1, 3),
        "latent_kv.bias": (0, 2),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """All that has a part per head follows the heads."""
        own = self.head_sizes(signature)
        inner, num_latents = own["inner"], signature.pick.number("num_latents")
        assert isinstance(self.full, PlainFIT)
        assert isinstance(inner, Tensor)
        return {**own, "latents": num_latents, "kv": stacked(inner, 2, self.full.inner)}
