"""Multi-head attention inside windows, shifted in every second block.

Source: Liu et al., Swin Transformer (2021), section 3.2; declaration and departures in
search_spaces/operators/window.py. Shapes: B batch, S side of the map, M side of a window, G windows
along a side, T = M * M tokens of a window, N heads, D channels of a head, C channels.
"""

from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import Axes, Index
from supernets._heads import head_weights, inner_channels, stacked
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets.criteria._base import GroupWeights
from supernets.mixers._base import MIXERS, AbstractElasticMixer

MASKED = -100.0


class PlainWindow(nn.Module):
    """Norm, partition into (shifted) windows, attention, back."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        pick, shape = signature.pick, signature.shape
        self.size, self.width = shape.size, shape.width
        self.window, self.shift = pick.number("window_size"), pick.number("shift")
        self.heads, self.head_dim = signature.kept.number("heads"), pick.number("head_dim")
        self.grid = -(-self.size // self.window)
        self.padding = self.grid * self.window - self.size
        inner = self.heads * self.head_dim
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
        self.qkv = nn.Linear(shape.width, 3 * inner)
        self.project = nn.Linear(inner, shape.width)
        self.bias_table = nn.Parameter(torch.zeros(self.heads, (2 * self.window - 1) ** 2))
        # Not part of the state: they follow from the window, and stay real on the meta device.
        self.position_TT = relative_position(self.window)
        self.mask_GTT = shift_mask(self.grid, self.window, self.shift) if self.shift else None

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        tokens, inner = self.window**2, self.heads * self.head_dim
        windows = self._partition(self.norm(x_BHWC))
        qkv = self.qkv(windows).reshape(-1, tokens, 3, self.heads, self.head_dim)
        qkv = qkv.permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        logits = (q * self.head_dim**-0.5) @ k.transpose(-2, -1)
        bias = self.bias_table[:, self.position_TT].reshape(self.heads, tokens, tokens)
        if self.mask_GTT is None:
            weights = (logits + bias).softmax(-1)
        else:
            masked = bias + self.mask_GTT.unsqueeze(1)
            grouped = logits.reshape(-1, self.grid**2, self.heads, tokens, tokens) + masked
            weights = grouped.softmax(-1).reshape(-1, self.heads, tokens, tokens)
        mixed = (weights @ v).transpose(1, 2).reshape(-1, tokens, inner)
        return self._merge(self.project(mixed))

    def _partition(self, x_BHWC: Tensor) -> Tensor:
        """(B * G * G, T, C); the map is padded on the right and below if windows do not fit."""
        grid, window = self.grid, self.window
        if self.padding:
            x_BHWC = nn.functional.pad(x_BHWC, (0, 0, 0, self.padding, 0, self.padding))
        if self.shift:
            x_BHWC = torch.roll(x_BHWC, (-self.shift, -self.shift), (1, 2))
        if grid == 1:
            return x_BHWC.reshape(-1, window * window, self.width)
        x = x_BHWC.reshape(-1, grid, window, grid, window, self.width)
        return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, window * window, self.width)

    def _merge(self, windows: Tensor) -> Tensor:
        """The inverse of `_partition`."""
        grid, window, side = self.grid, self.window, self.grid * self.window
        if grid == 1:
            x_BHWC = windows.reshape(-1, side, side, self.width)
        else:
            x = windows.reshape(-1, grid, grid, window, window, self.width)
            x_BHWC = x.permute(0, 1, 3, 2, 4, 5).reshape(-1, side, side, self.width)
        if self.shift:
            x_BHWC = torch.roll(x_BHWC, (self.shift, self.shift), (1, 2))
        return x_BHWC[:, : self.size, : self.size] if self.padding else x_BHWC


def relative_position(window: int) -> Tensor:
    """Entry of the bias table for every pair of tokens, flattened: (T * T,)."""
    with torch.device("cpu"):
        side = torch.arange(window)
        y_T, x_T = torch.meshgrid(side, side, indexing="ij")
        y_T, x_T = y_T.flatten(), x_T.flatten()
        offset_TT = (y_T[:, None] - y_T) * (2 * window - 1) + x_T[:, None] - x_T
        return (offset_TT + (window - 1) * 2 * window).flatten()


def shift_mask(grid: int, window: int, shift: int) -> Tensor:
    """0 where two tokens of a shifted window are neighbours, else -100: (G * G, T, T)."""
    with torch.device("cpu"):
        side = grid * window
        position = torch.arange(side)
        region_S = (position >= side - window).long() + (position >= side - shift).long()
        region_SS = region_S[:, None] * 3 + region_S
        windows = region_SS.reshape(grid, window, grid, window).transpose(1, 2).flatten(2)
        region_GT = windows.reshape(grid * grid, window * window)
        return (region_GT[:, :, None] != region_GT[:, None, :]).float() * MASKED


@final
@MIXERS.register
class ElasticWindow(AbstractElasticMixer):
    """Elastic width and heads; whole heads can be pruned."""

    has_shortcut: ClassVar[bool] = True
    plain: ClassVar[type[nn.Module]] = PlainWindow
    is_sized: ClassVar[bool] = True
    prunable: ClassVar[tuple[str, ...]] = ("heads",)
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **linear_axes("qkv", "qkv", "width"),
        **linear_axes("project", "width", "inner"),
        "bias_table": ("heads", None),
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = {"qkv.bias": (1, 3)}

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Rows of queries, keys and values, and columns of the projection, follow the heads."""
        assert isinstance(self.full, PlainWindow)
        heads = self.kept("heads", signature.pick.number("num_heads"), signature)
        return {"width": signature.shape.width, **window_sizes(heads, self.full)}

    def group_weights(self) -> dict[str, GroupWeights]:
        """Each head's rows of the values and columns of the projection."""
        assert isinstance(self.full, PlainWindow)
        return {"heads": window_weights(self.full)}


def window_sizes(heads: Index, full: PlainWindow) -> dict[str, Index]:
    """Roles that follow from the heads: rows of queries, keys and values, inner channels."""
    inner = inner_channels(heads, full.head_dim)
    return {
        "heads": heads,
        "inner": inner,
        "qkv": stacked(inner, 3, full.heads * full.head_dim),
    }


def window_weights(full: PlainWindow) -> GroupWeights:
    """What heads are ranked by."""
    values = full.qkv.weight[2 * full.heads * full.head_dim :]
    return head_weights(values, full.project.weight, full.heads)
