"""Attention in blocks: every block of queries sees a window of keys, which may overlap with others.

Shapes: B batch, N heads, H W space, D channels of a head, Y X offsets of a key, G blocks, S queries
of a block, T its keys.
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces._blocked import BlockedSide, different_offsets, is_moving
from search_spaces._sides import Sides
from supernets._heads import attended
from supernets._modules import MASKED


@final
class BlockedAttention(nn.Module):
    """The part of attention that has no weights.

    Positions are looked up along one axis after the other, in tables as long as the blocks of a
    side; where blocks lie side by side, cutting the map is enough.

    Args:
        rows: Blocks of the map's rows.
        columns: Of its columns.
        heads: How many.
        head_dim: Channels of each.
    """

    def __init__(self, rows: BlockedSide, columns: BlockedSide, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        self.grid = len(rows.blocks), len(columns.blocks)
        self.asked = rows.num_queries, columns.num_queries
        self.seen = rows.num_keys, columns.num_keys
        self.has_hidden = rows.has_hidden or columns.has_hidden
        offsets = different_offsets(rows, columns)
        self.bias_grid = len(offsets[0]), len(offsets[1])
        for name, side, entries in zip(("rows", "columns"), (rows, columns), offsets, strict=True):
            self._keep(f"{name}_queries", side.query_index, side.length)
            self._keep(f"{name}_keys", side.key_index, side.length)
            self._keep(f"{name}_answers", side.answer_index, len(side.query_index))
            self._keep(f"{name}_offsets", [entry for block in entries for entry in block])

    def forward(
        self, q_BNHWD: Tensor, k_BNHWD: Tensor, v_BNHWD: Tensor, table_NYX: Tensor | None = None
    ) -> Tensor:
        """Weighted values of all heads side by side, (B, H, W, N * D).

        Args:
            q_BNHWD: Queries; their products with keys are logits as they are.
            k_BNHWD: Keys.
            v_BNHWD: Values.
            table_NYX: Bias by offset, query less key, from the smallest one on.
        """
        q_BNGSD = self._blocks(q_BNHWD, "queries", self.asked)
        k_BNGTD = self._blocks(k_BNHWD, "keys", self.seen)
        v_BNGTD = self._blocks(v_BNHWD, "keys", self.seen)
        bias = None if table_NYX is None else self._bias(table_NYX)
        return self._map(attended(q_BNGSD, k_BNGTD, v_BNGTD, bias))

    def _keep(self, name: str, index: Sequence[int], places: int = 0) -> None:
        """What is looked up, unless that is everything in its order; real on the meta device, too.

        Args:
            name: Of the buffer.
            index: What is looked up.
            places: Among how many; 0 if it is looked up in any case.
        """
        is_needed = not places or is_moving(tuple(index), places)
        table = torch.tensor(list(index), device="cpu") if is_needed else None
        self.register_buffer(name, table, persistent=False)

    def _looked_up(self, x: Tensor, what: str, axis: int) -> Tensor:
        """Rows and columns of a map, whose axes are this and the next one, in blocks' order."""
        for name in ("rows", "columns"):
            index = self._buffers[f"{name}_{what}"]
            if index is not None:
                x = x.index_select(axis, index)
            axis += 1
        return x

    def _blocks(self, x_BNHWD: Tensor, what: str, sides: Sides) -> Tensor:
        """Positions of every block, (B, N, G, height * width, D)."""
        (rows, columns), (height, width) = self.grid, sides
        x = self._looked_up(x_BNHWD, what, 2)
        if height > 1 and columns > 1:
            x = x.reshape(-1, self.heads, rows, height, columns, width, self.head_dim)
            x = x.permute(0, 1, 2, 4, 3, 5, 6)
        return x.reshape(-1, self.heads, rows * columns, height * width, self.head_dim)

    def _map(self, x_BNGSD: Tensor) -> Tensor:
        """(B, H, W, N * D)."""
        (rows, columns), (height, width) = self.grid, self.asked
        inner = self.heads * self.head_dim
        x = x_BNGSD.reshape(-1, self.heads, rows, columns, height, width, self.head_dim)
        x = x.permute(0, 2, 4, 3, 5, 1, 6).reshape(-1, rows * height, columns * width, inner)
        return self._looked_up(x, "answers", 1)

    def _bias(self, table_NYX: Tensor) -> Tensor:
        """(N, G, S, T), or (N, 1, S, T) where all blocks have the same."""
        if self.has_hidden:
            table_NYX = F.pad(table_NYX, (0, 1, 0, 1), value=MASKED)
        bias, (rows, columns) = self._looked_up(table_NYX, "offsets", 1), self.bias_grid
        (height, width), (tall, wide) = self.asked, self.seen
        bias = bias.reshape(-1, rows, height, tall, columns, width, wide)
        bias = bias.permute(0, 1, 4, 2, 5, 3, 6)
        return bias.reshape(-1, rows * columns, height * width, tall * wide)
