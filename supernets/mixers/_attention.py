"""What mixers of attention heads share: how heads are split, and which weights belong to them.

Shapes: B batch, T tokens, N heads, D channels of a head.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from search_spaces._sides import Sides
from supernets._elastic import Axes, Index
from supernets._heads import head_weights, inner_channels, stacked
from supernets._modules import linear_axes, norm_axes
from supernets.criteria._base import GroupWeights

QKV_AXES: Axes = {
    **norm_axes("norm", "width"),
    **linear_axes("qkv", "qkv", "width"),
    **linear_axes("project", "width", "inner"),
}
"""Of a norm, a matrix that makes queries, keys and values, and one that reads what is mixed."""

WITHOUT_GRADIENT: Mapping[str, tuple[int, int]] = {"qkv.bias": (1, 3)}
"""Where softmax is over keys."""


def split_heads(x: Tensor, tokens: int, heads: int, head_dim: int) -> Tensor:
    """(B, N, T, D) of a map whose last axis is heads after heads."""
    return x.reshape(-1, tokens, heads, head_dim).transpose(1, 2)


def split_qkv(x: Tensor, tokens: int, heads: int, head_dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values, (B, N, T, D) each, of a map that one matrix made."""
    qkv = x.reshape(-1, tokens, 3, heads, head_dim).permute(2, 0, 3, 1, 4)
    return qkv[0], qkv[1], qkv[2]


def join_heads(x_BNTD: Tensor, size: Sides, heads: int, head_dim: int) -> Tensor:
    """A map of this size whose last axis is heads after heads."""
    return x_BNTD.transpose(1, 2).reshape(-1, *size, heads * head_dim)


def qkv_sizes(heads: Index, head_dim: int, qkv: nn.Linear) -> dict[str, Index]:
    """Roles that follow from the heads: rows of queries, keys and values, inner channels."""
    inner = inner_channels(heads, head_dim, qkv.weight.device)
    return {"heads": heads, "inner": inner, "qkv": stacked(inner, 3, qkv.out_features // 3)}


def qkv_weights(head_dim: int, qkv: nn.Linear, project: nn.Linear) -> GroupWeights:
    """What heads are ranked by: rows of values, columns of the projection."""
    inner = qkv.out_features // 3
    return head_weights(qkv.weight[2 * inner :], project.weight, inner // head_dim)
