"""Patches of a map and their sum, by rows and columns that are gathered.

Shapes: B batch, H W space, P Q rows and columns of patches, S side of a patch, C channels.
"""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces._sides import Sides


@final
class Patches(nn.Module):
    """Square patches around every so many positions of a map, beyond whose border is 0.

    Args:
        size: Of the map.
        side: Of a patch; odd.
        stride: From patch to patch; at most the side.
    """

    rows_PS: Tensor
    columns_QS: Tensor
    covering_H: Tensor
    covering_W: Tensor

    def __init__(self, size: Sides, side: int, stride: int) -> None:
        super().__init__()
        self.size, self.side = size, side
        self.grid = -(-size[0] // stride), -(-size[1] // stride)
        self.most = -(-side // stride)
        tables = {
            "rows_PS": _taken(self.grid[0], side, stride),
            "columns_QS": _taken(self.grid[1], side, stride),
            "covering_H": _covering(size[0], self.grid[0], side, stride),
            "covering_W": _covering(size[1], self.grid[1], side, stride),
        }
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def take(self, x_BHWC: Tensor) -> Tensor:
        """(B, P * S, Q * S, C): patches side by side."""
        padded = F.pad(x_BHWC, (0, 0, *4 * [self.side // 2]))
        return padded.index_select(1, self.rows_PS).index_select(2, self.columns_QS)

    def add(self, patches: Tensor, channels: int) -> Tensor:
        """(B, H, W, C): what all patches say of a position, added up.

        Args:
            patches: As `take` gives them.
            channels: C.
        """
        (height, width), most, across = self.size, self.most, self.grid[1] * self.side
        padded = F.pad(patches, (0, 0, 0, 1, 0, 1))
        rows = padded.index_select(1, self.covering_H)
        rows = rows.reshape(-1, height, most, across + 1, channels).sum(2)
        columns = rows.index_select(2, self.covering_W)
        return columns.reshape(-1, height, width, most, channels).sum(3)


def _taken(patches: int, side: int, stride: int) -> Tensor:
    """Along one side, the positions of a padded map that make up all patches."""
    with torch.device("cpu"):
        return (stride * torch.arange(patches)[:, None] + torch.arange(side)).flatten()


def _covering(length: int, patches: int, side: int, stride: int) -> Tensor:
    """Along one side, which entries of all patches are at each position, the last a 0 behind them.

    As many for every position as the most that there are.
    """
    found: list[list[int]] = [[] for _ in range(length)]
    for patch in range(patches):
        for tap in range(side):
            position = patch * stride + tap - side // 2
            if 0 <= position < length:
                found[position].append(patch * side + tap)
    most = -(-side // stride)
    none = patches * side
    with torch.device("cpu"):
        return torch.tensor([[*each, *(most - len(each)) * [none]] for each in found]).flatten()
