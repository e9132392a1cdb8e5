"""GLMix: convolution of positions beside attention of clusters.

Source: Zhu et al., Revisiting the Integration of Convolution and Attention for Vision Backbone
(2024); declaration and departures in search_spaces/operators/glmix.py. Shapes: B batch, C channels,
H W space, T positions, M clusters.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.glmix import num_regions, of_clusters, region_sides
from supernets._elastic import KERNEL, Axes, Index, inside
from supernets._modules import NORM_EPS, linear_axes, norm_axes, unit
from supernets.mixers._attention import AbstractElasticAttention
from supernets.mixers._base import MIXERS
from supernets.mixers.sra import ElasticSRA, PlainSRA, reduction_sizes


class ClusterAttention(nn.Module):
    """Positions are gathered in clusters, clusters attend, positions take from clusters."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape = signature.shape
        self.size, self.width = shape.size, shape.width
        self.regions = num_regions(shape.size)
        sides = region_sides(shape.size)
        self.pool = nn.AvgPool2d(sides, ceil_mode=True, count_include_pad=False)
        self.scale = nn.Parameter(torch.full((1,), shape.width**-0.5))
        self.attention = PlainSRA(of_clusters(signature))

    def forward(self, x_BHWC: Tensor, normed_BHWC: Tensor) -> Tensor:
        """The shape that came in.

        Args:
            x_BHWC: What clusters start from.
            normed_BHWC: What they are made of.
        """
        tokens, clusters = math.prod(self.size), math.prod(self.regions)
        x_BTC = normed_BHWC.reshape(-1, tokens, self.width)
        means_BCM = self.pool(x_BHWC.permute(0, 3, 1, 2)).reshape(-1, self.width, clusters)
        logits_BMT = self.logits(means_BCM.transpose(1, 2), x_BTC)
        gathered_BMC = logits_BMT.softmax(-1) @ x_BTC
        mixed_BHWC = self.attention(gathered_BMC.reshape(-1, *self.regions, self.width))
        mixed_BMC = mixed_BHWC.reshape(-1, clusters, self.width)
        shares_BTM = logits_BMT.transpose(1, 2).softmax(-1)
        return (shares_BTM @ mixed_BMC).reshape(-1, *self.size, self.width)

    def logits(self, clusters_BMC: Tensor, x_BTC: Tensor) -> Tensor:
        """Scaled cosine similarities, (B, M, T)."""
        return (self.scale * unit(clusters_BMC)) @ unit(x_BTC).transpose(1, 2)


class PlainGLMix(nn.Module):
    """Norm, then both parts beside each other."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width, kernel_size = signature.shape.width, signature.pick.number("kernel_size")
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.clusters = ClusterAttention(signature)
        self.expand = nn.Linear(width, width)
        self.conv = nn.Conv2d(width, width, kernel_size, 1, kernel_size // 2, groups=width)
        self.project = nn.Linear(width, width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        normed_BHWC = self.norm(x_BHWC)
        local_BCHW = self.conv(self.expand(normed_BHWC).permute(0, 3, 1, 2))
        local_BHWC = self.project(local_BCHW.permute(0, 2, 3, 1))
        mixed: Tensor = local_BHWC + self.clusters(x_BHWC, normed_BHWC)
        return mixed


@final
@MIXERS.register
class ElasticGLMix(AbstractElasticAttention):
    """Elastic width, kernel and heads; whole heads can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainGLMix
    heads_at: ClassVar[str] = "clusters.attention"
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        "clusters.scale": (None,),
        **inside("clusters.attention", ElasticSRA.axes),
        **linear_axes("expand", "width", "width"),
        "conv.weight": ("width", None, KERNEL, KERNEL),
        "conv.bias": ("width",),
        **linear_axes("project", "width", "width"),
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = inside(
        "clusters.attention", ElasticSRA.without_gradient
    )

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels, the centre of the kernel, and those of clusters' attention."""
        kernel_size = signature.pick.number("kernel_size")
        own = {**self.head_sizes(signature), **reduction_sizes(signature)}
        return {**own, KERNEL: kernel_size}
