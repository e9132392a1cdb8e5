"""Meta mobile block.

Source: Zhang et al., EMOv2 (2024); declaration and departures in
search_spaces/operators/irmb.py. Shapes: B batch, C channels, H W space, N heads, D channels of a
head, T tokens of a window; P Q windows along height and width, I J positions of one.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.irmb import ATTENTION, num_heads
from search_spaces.operators.window import num_windows
from supernets._elastic import KERNEL, Axes, Index
from supernets._heads import attended, stacked
from supernets._merged import NormedConv2d
from supernets._modules import Add, ConvNorm, conv_norm_axes, normed_conv_axes
from supernets.blocks._base import BLOCKS, AbstractElasticBlock
from supernets.blocks.mbconv import hidden_weights
from supernets.criteria._base import GroupWeights

NEAR = (1, 0, 4, 6, 2, 5, 7, 3), (0, 3, 6, 1, 4, 2, 5)
FAR = (1, 0, 5, 7, 2, 4, 6, 3), (0, 3, 6, 4, 1, 5, 2)
"""Axes of (B, 3, N, D, P, I, Q, J), or (B, 3, N, D, I, P, J, Q), as (3, B, P, Q, N, I, J, D), and
of (B, P, Q, N, I, J, D) on the way back."""


class SpanningAttention(nn.Module):
    """Attention inside of windows, plus that of positions as far apart as windows are many."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape = signature.shape
        self.size, self.width = shape.size, shape.width
        self.window = signature.pick.sides("window_size")
        self.grid = num_windows(shape.size, self.window)
        self.padded = self.grid[0] * self.window[0], self.grid[1] * self.window[1]
        self.heads = num_heads(shape.width, shape.head_dim)
        self.qk = NormedConv2d(shape.width, 2 * shape.width)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        qkv = torch.cat((self.qk(x_BCHW), x_BCHW), dim=1)
        if self.padded != self.size:
            below, right = self.padded[0] - self.size[0], self.padded[1] - self.size[1]
            qkv = nn.functional.pad(qkv, (0, right, 0, below))
        mixed = self._attended(qkv, is_near=True)
        if math.prod(self.grid) > 1:
            mixed = mixed + self._attended(qkv, is_near=False)
        if self.padded != self.size:
            mixed = mixed[:, :, : self.size[0], : self.size[1]]
        return mixed

    def _attended(self, qkv: Tensor, *, is_near: bool) -> Tensor:
        """Inside of windows or of grids: (B, C, *padded)."""
        (rows, columns), (height, width) = self.grid, self.window
        head_dim = self.width // self.heads
        sides = (rows, height, columns, width) if is_near else (height, rows, width, columns)
        there, back = NEAR if is_near else FAR
        parts = qkv.reshape(-1, 3, self.heads, head_dim, *sides).permute(there)
        parts = parts.reshape(3, -1, self.heads, height * width, head_dim)
        mixed = attended(parts[0] * head_dim**-0.5, parts[1], parts[2])
        mixed = mixed.reshape(-1, rows, columns, self.heads, height, width, head_dim)
        return mixed.permute(back).reshape(-1, self.width, *self.padded)


class PlainIRMB(nn.Module):
    """Attention, expansion, depthwise convolution, projection without activation, shortcut."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width, pick = signature.shape.width, signature.pick
        hidden, kernel_size = signature.kept.number("hidden"), pick.number("kernel_size")
        self.attention = SpanningAttention(signature) if pick[ATTENTION] else None
        self.expand = ConvNorm(width, hidden, 1)
        self.depthwise = (
            ConvNorm(hidden, hidden, kernel_size, groups=hidden) if kernel_size else None
        )
        self.inner_add = Add() if pick[ATTENTION] and kernel_size else None
        self.project = ConvNorm(hidden, width, 1, has_act=False)
        self.add = Add()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        hidden = self.expand(x_BCHW if self.attention is None else self.attention(x_BCHW))
        if self.depthwise is not None:
            local = self.depthwise(hidden)
            hidden = local if self.inner_add is None else self.inner_add(hidden, local)
        return self.add(x_BCHW, self.project(hidden))


@final
@BLOCKS.register
class ElasticIRMB(AbstractElasticBlock):
    """Elastic width, kernel and expansion, with and without its parts; expanded channels can be
    pruned."""

    plain: ClassVar[type[nn.Module]] = PlainIRMB
    prunable: ClassVar[tuple[str, ...]] = ("hidden",)
    axes: ClassVar[Axes] = {
        **normed_conv_axes("attention.qk", "qk", "attended"),
        **conv_norm_axes("expand", "hidden", "width"),
        **conv_norm_axes("depthwise", "local", None, KERNEL),
        **conv_norm_axes("project", "width", "hidden"),
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = {"attention.qk.bias": (1, 2)}

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Hidden channels are the first width * expansion, less the pruned ones."""
        assert isinstance(self.full, PlainIRMB)
        width, pick = signature.shape.width, signature.pick
        hidden = self.kept("hidden", width * pick.number("expand_ratio"), signature)
        queries: Index = 0
        if pick[ATTENTION]:
            channels = torch.arange(width, device=self.full.expand.conv.weight.device)
            queries = stacked(channels, 2, self.full.expand.conv.in_channels)
        return {
            "width": width,
            "hidden": hidden,
            "local": hidden if pick["kernel_size"] else 0,
            KERNEL: pick.number("kernel_size"),
            "attended": width if pick[ATTENTION] else 0,
            "qk": queries,
        }

    def group_weights(self) -> dict[str, GroupWeights]:
        """Each hidden channel's kernel, or row where there is none, and what reads it."""
        assert isinstance(self.full, PlainIRMB)
        maker = "expand" if self.full.depthwise is None else "depthwise"
        return {"hidden": hidden_weights(self.full, maker)}
