"""Next-ViT's transformer block.

Source: Li et al., Next-ViT (2022), section 3.3; declaration and departures in
search_spaces/operators/ntb.py. Shapes: B batch, C channels, H W space, N heads, D channels of a
head, T positions, K keys.
"""

from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.ncb import grouped_channels
from search_spaces.operators.ntb import parts_of
from supernets._elastic import Axes, Index
from supernets._heads import AbstractHeads, head_sizes, head_weights
from supernets._merged import NormedConv2d
from supernets._modules import Add, ConvNorm, conv_norm_axes, normed_conv_axes
from supernets.blocks._base import BLOCKS, AbstractElasticBlock
from supernets.blocks.ncb import MIX_AXES, MLP_AXES, ConvMLP, GroupedMix, mlp_weights
from supernets.criteria._base import GroupWeights


class PooledAttention(AbstractHeads):
    """Multi-head attention to a pooled map, and its shortcut."""

    makes_values: ClassVar[str] = "kv"

    def __init__(self, width: int, signature: Signature) -> None:
        super().__init__()
        shape, ratio = signature.shape, signature.pick.number("sr_ratio")
        self.heads, self.head_dim = signature.kept.number("heads"), shape.head_dim
        self.size, self.keys = shape.size, shape.pixels // ratio**2
        inner = self.heads * self.head_dim
        self.q = NormedConv2d(width, inner)
        self.pool = nn.AvgPool2d(ratio) if ratio > 1 else nn.Identity()
        self.kv = NormedConv2d(width, 2 * inner)
        self.project = nn.Conv2d(inner, width, 1)
        self.add = Add()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        height, width = self.size
        q_BNDT = self.q(x_BCHW).reshape(-1, self.heads, self.head_dim, height * width)
        kv = self.kv(self.pool(x_BCHW)).reshape(-1, 2, self.heads, self.head_dim, self.keys)
        logits_BNTK = (q_BNDT * self.head_dim**-0.5).transpose(-2, -1) @ kv[:, 0]
        mixed_BNDT = kv[:, 1] @ logits_BNTK.softmax(-1).transpose(-2, -1)
        mixed_BCHW = mixed_BNDT.reshape(-1, self.heads * self.head_dim, height, width)
        return self.add(x_BCHW, self.project(mixed_BCHW))


class PlainNTB(nn.Module):
    """Attention on the first channels, a convolution of the others, an MLP."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape = signature.shape
        attended, convolved = parts_of(shape)
        self.parts = [attended, convolved]
        self.attention = PooledAttention(attended, signature)
        self.project = ConvNorm(attended, convolved, 1, has_act=False)
        self.add = Add()
        self.mix = GroupedMix(convolved, shape.head_dim)
        self.mlp = ConvMLP(shape.width, signature.kept.number("hidden"))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        attended, convolved = x_BCHW.split(self.parts, dim=1)
        attended = self.attention(attended)
        convolved = self.mix(self.add(convolved, self.project(attended)))
        output: Tensor = self.mlp(torch.cat((attended, convolved), dim=1))
        return output


@final
@BLOCKS.register
class ElasticNTB(AbstractElasticBlock):
    """Elastic width, expansion and reduction; hidden channels and heads can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainNTB
    prunable: ClassVar[tuple[str, ...]] = ("hidden", "heads")
    axes: ClassVar[Axes] = {
        **normed_conv_axes("attention.q", "inner", "attended"),
        **normed_conv_axes("attention.kv", "kv", "attended"),
        "attention.project.weight": ("attended", "inner", None, None),
        "attention.project.bias": ("attended",),
        **conv_norm_axes("project", "convolved", "attended"),
        **MIX_AXES,
        **MLP_AXES,
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = {"attention.kv.bias": (0, 2)}

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels of both parts, whose shares of the map follow from its width."""
        assert isinstance(self.full, PlainNTB)
        shape, own = signature.shape, self.full.attention
        attended, convolved = parts_of(shape)
        heads = self.kept("heads", max(1, attended // shape.head_dim), signature)
        hidden = shape.width * signature.pick.number("expand_ratio")
        return {
            "width": shape.width,
            "attended": attended,
            **head_sizes(heads, own),
            "convolved": convolved,
            "grouped": grouped_channels(convolved, shape.head_dim),
            "hidden": self.kept("hidden", hidden, signature),
        }

    def group_weights(self) -> dict[str, GroupWeights]:
        """Hidden channels as in `ncb`; each head's rows of values and columns of the projection."""
        assert isinstance(self.full, PlainNTB)
        heads = head_weights(self.full.attention)
        return {"hidden": mlp_weights(self.full.mlp), "heads": heads}
