"""Attention in blocks with a bias for every offset of a key.

Shapes: B batch, H W space, C channels.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from search_spaces import Signature, declaration
from search_spaces.operators._blocked import AbstractBlockedAttention
from supernets._blocked import BlockedAttention
from supernets._elastic import Axes, Index
from supernets._heads import head_weights, heads_of, inner_channels, stacked
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets.criteria._base import GroupWeights
from supernets.mixers._base import AbstractElasticMixer


class PlainBlockedAttention(nn.Module):
    """Norm, attention in the blocks that the operator declares, projection."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        pick, shape = signature.pick, signature.shape
        rule = declaration(signature.operator)
        assert isinstance(rule, AbstractBlockedAttention)
        rows, columns = rule.blocked(pick, shape.size)
        self.heads, self.head_dim = signature.kept.number("heads"), pick.number("head_dim")
        self.size, inner = shape.size, self.heads * self.head_dim
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
        self.qkv = nn.Linear(shape.width, 3 * inner)
        self.project = nn.Linear(inner, shape.width)
        self.bias_table = nn.Parameter(
            torch.zeros(self.heads, rows.num_offsets, columns.num_offsets)
        )
        self.attention = BlockedAttention(rows, columns, self.heads, self.head_dim)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        q, k, v = heads_of(self.qkv(self.norm(x_BHWC)), self.size, self.heads, self.head_dim)
        return self.project(self.attention(q * self.head_dim**-0.5, k, v, self.bias_table))


class AbstractElasticBlockedAttention(AbstractElasticMixer):
    """Elastic width, heads and windows; whole heads can be pruned."""

    has_shortcut: ClassVar[bool] = True
    plain: ClassVar[type[nn.Module]] = PlainBlockedAttention
    is_sized: ClassVar[bool] = True
    prunable: ClassVar[tuple[str, ...]] = ("heads",)
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **linear_axes("qkv", "qkv", "width"),
        **linear_axes("project", "width", "inner"),
        "bias_table": ("heads", "kernel_rows", "kernel_columns"),
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = {"qkv.bias": (1, 3)}

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Rows of queries, keys and values follow the heads, the middle of the table the window."""
        assert isinstance(self.full, PlainBlockedAttention)
        rule = declaration(signature.operator)
        assert isinstance(rule, AbstractBlockedAttention)
        rows, columns = rule.blocked(signature.pick, signature.shape.size)
        heads = self.kept("heads", signature.pick.number("num_heads"), signature)
        inner = inner_channels(heads, self.full.head_dim, self.full.qkv.weight.device)
        return {
            "width": signature.shape.width,
            "heads": heads,
            "inner": inner,
            "qkv": stacked(inner, 3, self.full.heads * self.full.head_dim),
            "kernel_rows": rows.num_offsets,
            "kernel_columns": columns.num_offsets,
        }

    def group_weights(self) -> dict[str, GroupWeights]:
        """Each head's rows of the values and columns of the projection."""
        assert isinstance(self.full, PlainBlockedAttention)
        values = self.full.qkv.weight[2 * self.full.heads * self.full.head_dim :]
        return {"heads": head_weights(values, self.full.project.weight, self.full.heads)}
