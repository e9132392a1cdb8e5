"""Position bias between the positions of a map and the cells of a pooled one, made by a network.

A small network makes the bias of every offset; when deployed, what it makes is stored. An offset is
one of whole cells and a place inside of a cell, so the biases of all pairs are rows of a table,
moved: no pair is looked up.

Source: Shi, TransNeXt (2023), length-scaled cosine attention's bias, whose log-spaced coordinates
are those of Liu et al., Swin Transformer V2 (2022). Departure: GELU instead of ReLU, so that no
hidden channel can be without gradient.

Shapes: N heads, T positions of the map, P cells of the pooled map, S offsets.
"""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces._sides import Sides
from supernets._generated import AbstractGenerated

EXTENT = 8.0
"""What the map's longest offset is in coordinates, before the logarithm."""


@final
class GeneratedPooledBias(AbstractGenerated):
    """Biases of all offsets by a network of two layers; `spread` gives those of pairs.

    Args:
        pooled: Sides of the pooled map.
        ratio: By which the map is larger.
        heads: Attention heads.
        hidden: Channels between the two layers.
    """

    offsets_S2: Tensor

    def __init__(self, pooled: Sides, ratio: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.hidden_weight = nn.Parameter(torch.randn(hidden, 2) * 2**-0.5)
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.weight = nn.Parameter(torch.randn(heads, hidden) * hidden**-0.5)
        self.bias = nn.Parameter(torch.zeros(heads))
        # Not part of the state: they follow from the map, and stay real on the meta device.
        self.register_buffer("offsets_S2", offsets(pooled, ratio), persistent=False)

    def forward(self) -> Tensor:
        """(S, N)."""
        offsets_S2 = self.offsets_S2.to(self.hidden_weight.dtype)
        hidden = F.gelu(F.linear(offsets_S2, self.hidden_weight, self.hidden_bias))
        return F.linear(hidden, self.weight, self.bias)


def spread(table_SN: Tensor, pooled: Sides, ratio: int, heads: int) -> Tensor:
    """From biases of offsets to those of pairs, (N, T, P)."""
    rows, columns = pooled
    tall, wide = 2 * rows - 1, (2 * columns - 1) * ratio
    rest = ratio * wide * heads
    x = _moved(table_SN.reshape(tall, rest), rows, rest)
    x = x.reshape(rows * rows * ratio, 2 * columns - 1, ratio * heads).transpose(0, 1)
    rest = rows * rows * ratio * ratio * heads
    x = _moved(x.reshape(2 * columns - 1, rest), columns, rest)
    # Of columns: the cell's, the position's cell; of rows likewise; places inside of cells; heads.
    x = x.reshape(columns, columns, rows, rows, ratio, ratio, heads).permute(6, 3, 4, 1, 5, 2, 0)
    return x.reshape(heads, rows * ratio * columns * ratio, rows * columns)


def offsets(pooled: Sides, ratio: int) -> Tensor:
    """Log-spaced coordinates of all offsets of a position from the middle of a cell: (S, 2)."""
    with torch.device("cpu"):
        sides = [_coordinates(side, ratio) for side in pooled]
        return torch.stack(torch.meshgrid(*sides, indexing="ij"), dim=-1).reshape(-1, 2)


def _coordinates(side: int, ratio: int) -> Tensor:
    offset_S = torch.arange((2 * side - 1) * ratio) - (side - 1) * ratio - (ratio - 1) / 2
    scaled_S = offset_S / max(1, side * ratio - 1) * EXTENT
    return scaled_S.sign() * (scaled_S.abs() + 1).log2() / torch.tensor(EXTENT).log2()


def _moved(x_SR: Tensor, side: int, rest: int) -> Tensor:
    """From one row per offset to (cell, position, R): of each cell the row of their difference.

    Copies lie one behind the other; read in rows that are one shorter, each begins one earlier.
    """
    if side == 1:
        return x_SR
    copies = x_SR.unsqueeze(0).expand(side, 2 * side - 1, rest).reshape(-1, rest)
    length = side * (2 * side - 2)
    shorter = copies[side - 1 : side - 1 + length].reshape(side, 2 * side - 2, rest)
    return shorter[:, :side]
