"""Which rows, columns and channels belong to which attention heads.

Shapes: B batch, N heads, H W space, D channels of a head, C channels.
"""

import torch
from torch import Tensor

from search_spaces._sides import Sides
from supernets._elastic import Index
from supernets.criteria._base import GroupWeights


def inner_channels(heads: Index, head_dim: int, device: torch.device) -> Tensor:
    """Channels of these heads, 1-D; `head_dim` channels each."""
    chosen_N = torch.arange(heads, device=device) if isinstance(heads, int) else heads
    return (chosen_N[:, None] * head_dim + torch.arange(head_dim, device=device)).flatten()


def stacked(inner: Tensor, parts: int, size: int) -> Tensor:
    """The same channels of `parts` matrices of `size` rows that lie one below the other, 1-D."""
    return (torch.arange(parts, device=inner.device)[:, None] * size + inner).flatten()


def head_weights(values: Tensor, project: Tensor, heads: int) -> GroupWeights:
    """What heads are ranked by.

    Args:
        values: (heads * head_dim, width), the matrix that makes values.
        project: (width, heads * head_dim), the matrix that reads them.
        heads: How many.
    """
    return GroupWeights(values, project.transpose(0, 1), None, heads)


def heads_of(
    x_BHWC: Tensor, size: Sides, heads: int, head_dim: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of a map that has them side by side: (B, N, H, W, D) each."""
    parts = x_BHWC.reshape(-1, *size, 3, heads, head_dim).permute(3, 0, 4, 1, 2, 5)
    return parts[0], parts[1], parts[2]
