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
from supernets._heads import QKV_AXES, QKV_WITHOUT_GRADIENT, AbstractHeads
from supernets._modules import NORM_EPS
from supernets.mixers._attention import AbstractElasticAttention


class PlainBlockedAttention(AbstractHeads):
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
        q, k, v = self.split_parts(self.qkv(self.norm(x_BHWC)), self.size, 3)
        return self.project(self.attention(q * self.head_dim**-0.5, k, v, self.bias_table))


class AbstractElasticBlockedAttention(AbstractElasticAttention):
    """Elastic width, heads and windows; whole heads can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainBlockedAttention
    is_sized: ClassVar[bool] = True
    axes: ClassVar[Axes] = {
        **QKV_AXES,
        "bias_table": ("heads", "kernel_rows", "kernel_columns"),
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = QKV_WITHOUT_GRADIENT

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Rows of queries, keys and values follow the heads, the middle of the table the window."""
        rule = declaration(signature.operator)
        assert isinstance(rule, AbstractBlockedAttention)
        rows, columns = rule.blocked(signature.pick, signature.shape.size)
        return {
            **self.head_sizes(signature),
            "kernel_rows": rows.num_offsets,
            "kernel_columns": columns.num_offsets,
        }
