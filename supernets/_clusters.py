"""Clusters of neighbouring positions, and how much every position belongs to which.

A map is cut into cells. A position belongs to the cluster of its own cell and to the eight around
it by softmax of - d ** 2 / t: d is how far it is from the cluster, t the mean square of how far
positions are from the clusters of their own cells. Where every position is a cluster, t is 0, and
each belongs to itself alone.

Sources: Liang et al., Expediting Large-Scale Vision Transformer for Dense Prediction without
Fine-tuning (2022); Jampani et al., Superpixel Sampling Networks (2018), section 3. Departures are
in search_spaces/trunk/cluster.py and rebuild.py.

Shapes: B batch, C channels, H W space, R Q rows and columns of cells, P cells and their clusters,
S positions of a cell, A = 9 clusters around one, by columns: number 3 * j + i is j - 1 columns to
the right and i - 1 rows below.
"""

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces._clusters import AROUND, ITERATIONS, grid_of
from search_spaces._sides import Sides
from supernets._modules import LEAST_SQUARE

LEAST_MASS = 1e-6
"""Of positions that belong to a cluster."""

BEYOND = 1e5
"""Taken from logits of clusters beyond the border: d ** 2 / t is less than there are positions."""

ROWS, COLUMNS = 1, 2
"""Axes of a map with channels last."""


@final
class Cells(nn.Module):
    """A map as cells of equal size, and the clusters around each.

    Args:
        size: Of the map.
        cell: Height and width of a cell, pixels.
        width: C.
    """

    beyond_R113: Tensor
    beyond_Q31: Tensor
    inside_R1H11: Tensor
    inside_Q1W1: Tensor
    count_P1: Tensor

    def __init__(self, size: Sides, cell: Sides, width: int) -> None:
        super().__init__()
        self.size, self.cell, self.width = size, cell, width
        self.grid = grid_of(size, cell)
        self.clusters, self.pixels = math.prod(self.grid), math.prod(size)
        self.positions = math.prod(cell)
        self.sides = self.grid[0] * cell[0], self.grid[1] * cell[1]
        below, right = self.sides[0] - size[0], self.sides[1] - size[1]
        self.padding: tuple[int, ...] = (0, right, 0, below) if below or right else ()
        # Not part of the state, and real on the meta device.
        for name, table in _tables(size, cell, self.grid).items():
            self.register_buffer(name, table, persistent=False)

    def cut(self, x_BCHW: Tensor) -> Tensor:
        """(B, P, S, C): the map, with zeros beyond its border."""
        if self.padding:
            x_BCHW = F.pad(x_BCHW, self.padding)
        (rows, columns), (height, width) = self.grid, self.cell
        parts = x_BCHW.reshape(-1, self.width, rows, height, columns, width)
        parts = parts.permute(0, 2, 4, 3, 5, 1)
        return parts.reshape(-1, self.clusters, self.positions, self.width)

    def joined(self, x_BPSC: Tensor) -> Tensor:
        """The inverse of `cut`: (B, C, H, W)."""
        (rows, columns), (height, width) = self.grid, self.cell
        parts = x_BPSC.reshape(-1, rows, columns, height, width, self.width)
        x_BCHW = parts.permute(0, 5, 1, 3, 2, 4).reshape(-1, self.width, *self.sides)
        for axis, (side, padded) in enumerate(zip(self.size, self.sides, strict=True), start=2):
            if side < padded:
                x_BCHW = x_BCHW.split([side, padded - side], axis)[0]
        return x_BCHW

    def around(self, clusters_BPC: Tensor) -> Tensor:
        """(B, P, A, C): the clusters around each; those beyond the border are of the other side."""
        x_BRQC = clusters_BPC.reshape(-1, *self.grid, self.width)
        for axis in (ROWS, COLUMNS):
            above, below = self._rolled(x_BRQC, axis, 1), self._rolled(x_BRQC, axis, -1)
            x_BRQC = torch.cat([above, x_BRQC, below], -1)
        return x_BRQC.reshape(-1, self.clusters, AROUND, self.width)

    def belonging(self, x_BPSC: Tensor, clusters_BPC: Tensor) -> Tensor:
        """(B, P, S, A): shares of every position, which add up to 1."""
        own_BP1C = clusters_BPC.unsqueeze(2)
        # Relative to their own clusters: differences of large squares would be lost.
        apart_BPSC = self._inside(x_BPSC - own_BP1C, self.width)
        around_BPAC = self.around(clusters_BPC) - own_BP1C
        mean_B111 = apart_BPSC.square().sum((1, 2, 3), keepdim=True) / self.pixels
        scale_B111 = 1.0 / (mean_B111 + LEAST_SQUARE)
        products_BPSA = apart_BPSC @ (around_BPAC * (2.0 * scale_B111)).transpose(2, 3)
        squares_BPA1 = around_BPAC.square().sum(-1, keepdim=True) * scale_B111
        squares_BRQ33 = squares_BPA1.reshape(-1, *self.grid, 3, 3) + self.beyond_Q31
        squares_BRQ33 = squares_BRQ33 + self.beyond_R113
        return (products_BPSA - squares_BRQ33.reshape(-1, self.clusters, 1, AROUND)).softmax(-1)

    def gathered(self, x_BPSC: Tensor) -> Tensor:
        """(B, P, C): means of cells, moved to the means of what belongs to them."""
        count = self.count_P1 if self.padding else float(self.positions)
        clusters_BPC = x_BPSC.sum(2) / count
        for _ in range(ITERATIONS):
            shares_BPSA = self._inside(self.belonging(x_BPSC, clusters_BPC), AROUND)
            total_BPAC = shares_BPSA.transpose(2, 3) @ x_BPSC
            mass_BPA1 = shares_BPSA.sum(2).unsqueeze(-1)
            given = self._given(torch.cat([total_BPAC, mass_BPA1], -1), self.width + 1)
            total_BPC, mass_BP1 = given.split([self.width, 1], -1)
            # One that nothing belongs to stays where it is.
            total_BPC = total_BPC + clusters_BPC * LEAST_MASS
            clusters_BPC = total_BPC / (mass_BP1 + LEAST_MASS)
        return clusters_BPC

    def spread(self, gains_BPC: Tensor, shares_BPSA: Tensor) -> Tensor:
        """(B, P, S, C): what positions get of the clusters that they belong to."""
        return shares_BPSA @ self.around(gains_BPC)

    def _given(self, each_BPAX: Tensor, channels: int) -> Tensor:
        """(B, P, X): to every cluster the sum of what cells have for it.

        Args:
            each_BPAX: Of each cell for the clusters around it; 0 for those beyond the border.
            channels: X.
        """
        x_BRQX = each_BPAX.reshape(-1, *self.grid, AROUND * channels)
        for axis, of_each in ((COLUMNS, 3 * channels), (ROWS, channels)):
            before, own, behind = x_BRQX.split([of_each] * 3, -1)
            x_BRQX = own + self._rolled(behind, axis, 1) + self._rolled(before, axis, -1)
        return x_BRQX.reshape(-1, self.clusters, channels)

    def _rolled(self, x_BRQX: Tensor, axis: int, by: int) -> Tensor:
        """A map of cells whose rows or columns have moved on by 1, or back by -1."""
        length = self.grid[axis - ROWS]
        if length == 1:
            return x_BRQX
        first, last = x_BRQX.split([length - 1, 1] if by > 0 else [1, length - 1], axis)
        return torch.cat([last, first], axis)

    def _inside(self, x_BPSX: Tensor, channels: int) -> Tensor:
        """Nothing beyond the border of the map.

        Args:
            x_BPSX: Of every position.
            channels: X.
        """
        if not self.padding:
            return x_BPSX
        x = x_BPSX.reshape(-1, *self.grid, *self.cell, channels)
        x = x * self.inside_R1H11 * self.inside_Q1W1
        return x.reshape(-1, self.clusters, self.positions, channels)


def _tables(size: Sides, cell: Sides, grid: Sides) -> dict[str, Tensor]:
    """Which clusters around each are beyond the border, and which positions of cells are."""
    found: dict[str, Tensor] = {}
    inside = []
    with torch.device("cpu"):
        for name, number in zip(("R113", "Q31"), grid, strict=True):
            beside_N3 = torch.arange(number)[:, None] + torch.arange(3) - 1
            beyond_N3 = ((beside_N3 < 0) | (beside_N3 >= number)) * BEYOND
            found[f"beyond_{name}"] = beyond_N3.reshape(
                (number, 1, 1, 3) if name == "R113" else (number, 3, 1)
            )
        for side, part, number in zip(size, cell, grid, strict=True):
            inside.append((torch.arange(number * part) < side).float().reshape(number, part))
        rows_RH, columns_QW = inside
        found["inside_R1H11"] = rows_RH.reshape(grid[0], 1, cell[0], 1, 1)
        found["inside_Q1W1"] = columns_QW.reshape(grid[1], 1, cell[1], 1)
        found["count_P1"] = (rows_RH.sum(1)[:, None] * columns_QW.sum(1)).reshape(-1, 1)
    return found
