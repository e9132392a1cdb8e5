"""Multi-head attention inside windows, shifted in every second block.

Source: Liu et al., Swin Transformer (2021), section 3.2; declaration and departures in
search_spaces/operators/window.py. Shapes: B batch, H W space, G windows, T tokens of a window,
N heads, D channels of a head, C channels.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces._sides import Sides
from search_spaces.operators.window import num_windows
from supernets._elastic import Axes, Index
from supernets._heads import QKV_AXES, QKV_WITHOUT_GRADIENT, AbstractHeads
from supernets._modules import MASKED, NORM_EPS
from supernets._windows import covered, cut, merged, padded, parted
from supernets.mixers._attention import AbstractElasticAttention
from supernets.mixers._base import MIXERS


class PlainWindow(AbstractHeads):
    """Norm, partition into (shifted) windows, attention, back."""

    position_TT: Tensor

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        pick, shape = signature.pick, signature.shape
        self.size, self.width = shape.size, shape.width
        self.window, self.shift = pick.sides("window_size"), pick.sides("shift")
        self.heads, self.head_dim = signature.kept.number("heads"), pick.number("head_dim")
        self.grid = num_windows(self.size, self.window)
        self.padded = covered(self.grid, self.window)
        inner = self.heads * self.head_dim
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
        self.qkv = nn.Linear(shape.width, 3 * inner)
        self.project = nn.Linear(inner, shape.width)
        self.bias_table = nn.Parameter(torch.zeros(self.heads, num_offsets(self.window)))
        # Not part of the state: they follow from the window, and stay real on the meta device.
        mask_GTT = shift_mask(self.grid, self.window, self.shift) if any(self.shift) else None
        self.register_buffer("position_TT", relative_position(self.window), persistent=False)
        self.register_buffer("mask_GTT", mask_GTT, persistent=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        tokens = math.prod(self.window)
        windows = self._partition(self.norm(x_BHWC))
        q, k, v = self.split_parts(self.qkv(windows), [tokens], 3)
        logits = (q * self.head_dim**-0.5) @ k.transpose(-2, -1)
        bias = self.bias_table[:, self.position_TT].reshape(self.heads, tokens, tokens)
        # Not by its name, which is an operation in a traced network: it is reshaped there once.
        mask_GTT = self._buffers["mask_GTT"]
        if mask_GTT is None:
            weights = (logits + bias).softmax(-1)
        else:
            masked = bias + mask_GTT.unsqueeze(1)
            grouped = logits.reshape(-1, math.prod(self.grid), self.heads, tokens, tokens) + masked
            weights = grouped.softmax(-1).reshape(-1, self.heads, tokens, tokens)
        return self._merge(self.project(self.join(weights @ v, [tokens])))

    def _partition(self, x_BHWC: Tensor) -> Tensor:
        """(B * G, T, C); the map is padded on the right and below if windows do not fit."""
        x_BHWC = self._rolled(padded(x_BHWC, self.size, self.padded), -1)
        return parted(x_BHWC, self.grid, self.window, self.width)

    def _merge(self, windows: Tensor) -> Tensor:
        """The inverse of `_partition`."""
        x_BHWC = self._rolled(merged(windows, self.grid, self.window, self.width), 1)
        return cut(x_BHWC, self.size, self.padded)

    def _rolled(self, x_BHWC: Tensor, direction: int) -> Tensor:
        """The map moved by the shift, -1 up and left, 1 down and right."""
        moved = {axis: direction * by for axis, by in enumerate(self.shift, start=1) if by}
        return torch.roll(x_BHWC, tuple(moved.values()), tuple(moved)) if moved else x_BHWC


def num_offsets(window: Sides) -> int:
    """Of two tokens of a window: entries of the bias table."""
    return math.prod(2 * part - 1 for part in window)


def relative_position(window: Sides) -> Tensor:
    """Entry of the bias table for every pair of tokens, flattened: (T * T,)."""
    height, width = window
    with torch.device("cpu"):
        y_T, x_T = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        y_T, x_T = y_T.flatten(), x_T.flatten()
        y_TT = y_T[:, None] - y_T + height - 1
        x_TT = x_T[:, None] - x_T + width - 1
        return (y_TT * (2 * width - 1) + x_TT).flatten()


def shift_mask(grid: Sides, window: Sides, shift: Sides) -> Tensor:
    """0 where two tokens of a shifted window are neighbours, else `MASKED`: (G, T, T)."""
    (rows, columns), (height, width) = grid, window
    with torch.device("cpu"):
        region_H, region_W = (_regions(*side) for side in zip(grid, window, shift, strict=True))
        region_HW = region_H[:, None] * 3 + region_W
        windows = region_HW.reshape(rows, height, columns, width).transpose(1, 2)
        region_GT = windows.reshape(rows * columns, height * width)
        return (region_GT[:, :, None] != region_GT[:, None, :]).float() * MASKED


def _regions(num: int, part: int, shift: int) -> Tensor:
    """Along one side of so many shifted windows, which positions were neighbours before: (S,)."""
    position_S = torch.arange(num * part)
    last = len(position_S)
    return (position_S >= last - part).long() + (position_S >= last - shift).long()


@final
@MIXERS.register
class ElasticWindow(AbstractElasticAttention):
    """Elastic width and heads; whole heads can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainWindow
    is_sized: ClassVar[bool] = True
    axes: ClassVar[Axes] = {**QKV_AXES, "bias_table": ("heads", None)}
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = QKV_WITHOUT_GRADIENT

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Rows of queries, keys and values, and columns of the projection, follow the heads."""
        return self.head_sizes(signature)
