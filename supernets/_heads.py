"""Attention heads: which weights belong to them, how maps are split into them and joined again.

Shapes: B batch, N heads, H W space, G groups, T tokens, S keys, D channels of a head, C channels.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from supernets._elastic import Axes, Index
from supernets._modules import linear_axes, norm_axes
from supernets.criteria._base import GroupWeights

QKV_AXES: Axes = {
    **norm_axes("norm", "width"),
    **linear_axes("qkv", "qkv", "width"),
    **linear_axes("project", "width", "inner"),
}
"""Of a norm, a matrix that makes queries, keys and values, and one that reads what is mixed."""

QKV_WITHOUT_GRADIENT: Mapping[str, tuple[int, int]] = {"qkv.bias": (1, 3)}
KV_WITHOUT_GRADIENT: Mapping[str, tuple[int, int]] = {"kv.bias": (0, 2)}
"""Where softmax is over keys."""


class AbstractHeads(nn.Module):
    """What a plain module of attention heads has.

    Attributes:
        heads: How many.
        head_dim: Rows of a matrix that belong to each: its channels.
    """

    heads: int
    head_dim: int

    makes_values: ClassVar[str] = "qkv"
    """The layer that makes values, called by a letter for each of what it makes, values last. Its
    name is the role of its rows, too."""

    reads_values: ClassVar[str] = "project"
    """The layer that reads what is mixed of them."""

    def split(self, x: Tensor, tokens: int) -> Tensor:
        """(B, N, T, D) of a map whose last axis is heads after heads."""
        return x.reshape(-1, tokens, self.heads, self.head_dim).transpose(1, 2)

    def split_parts(self, x: Tensor, sides: Sequence[int], parts: int) -> tuple[Tensor, ...]:
        """Queries, keys and values, or what one matrix made of these: (B, N, *sides, D) each.

        Args:
            x: (..., parts * N * D), which one matrix made.
            sides: Of what heads are split over: tokens, or rows and columns.
            parts: What the matrix made, side by side.
        """
        last = len(sides) + 1
        x = x.reshape(-1, *sides, parts, self.heads, self.head_dim)
        x = x.permute(last, 0, last + 1, *range(1, last), last + 2)
        return tuple(x[part] for part in range(parts))

    def split_groups(self, x: Tensor, groups: int, tokens: int, parts: int) -> tuple[Tensor, ...]:
        """As `split_parts`, of groups of tokens which attend among themselves: (B, G, N, T, D)."""
        x = x.reshape(-1, groups, tokens, parts, self.heads, self.head_dim)
        x = x.permute(3, 0, 1, 4, 2, 5)
        return tuple(x[part] for part in range(parts))

    def join(self, x_BNTD: Tensor, sides: Sequence[int]) -> Tensor:
        """(B, *sides, N * D), heads after heads, where sides are those of the tokens."""
        return x_BNTD.transpose(1, 2).reshape(-1, *sides, self.heads * self.head_dim)


def attended(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Values by the softmax of products: (..., T, D).

    Args:
        q: (..., T, D), scaled.
        k: (..., S, D).
        v: (..., S, D).
        bias: Of the products, (..., T, S).
    """
    logits = q @ k.transpose(-2, -1)
    if bias is not None:
        logits = logits + bias
    return logits.softmax(-1) @ v


def inner_channels(heads: Index, head_dim: int, device: torch.device) -> Tensor:
    """Channels of these heads, 1-D; `head_dim` channels each."""
    chosen_N = torch.arange(heads, device=device) if isinstance(heads, int) else heads
    return (chosen_N[:, None] * head_dim + torch.arange(head_dim, device=device)).flatten()


def stacked(inner: Tensor, parts: int, size: int) -> Tensor:
    """The same channels of `parts` matrices of `size` rows that lie one below the other, 1-D."""
    return (torch.arange(parts, device=inner.device)[:, None] * size + inner).flatten()


def head_sizes(heads: Index, full: AbstractHeads) -> dict[str, Index]:
    """Roles that follow from the heads: "heads", "inner" channels, and rows that make values."""
    made_by, parts = full.get_parameter(f"{full.makes_values}.weight"), len(full.makes_values)
    inner = inner_channels(heads, full.head_dim, made_by.device)
    rows = stacked(inner, parts, len(made_by) // parts)
    return {"heads": heads, "inner": inner, full.makes_values: rows}


def head_weights(full: AbstractHeads) -> GroupWeights:
    """What heads are ranked by: rows that make values, columns that read them."""
    made_by, parts = full.get_parameter(f"{full.makes_values}.weight"), len(full.makes_values)
    values = made_by[len(made_by) // parts * (parts - 1) :]
    read_by = full.get_parameter(f"{full.reads_values}.weight").transpose(0, 1)
    return GroupWeights(values, read_by, None, full.heads)
