"""The two gates of polarized self-attention; formulas in
search_spaces/channel_attentions/polarized.py.

Shapes: B batch, C channels, H W space, P positions, I inner channels.
"""

import torch
from torch import Tensor, nn

from search_spaces._sides import Sides
from supernets._elastic import Axes
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets.channel_attentions._gates import Means


class ChannelGates(nn.Module):
    """Of what attention to positions has seen: (B, C, H, W) to (B, C, 1, 1)."""

    def __init__(self, channels: int, inner: int, sides: Sides) -> None:
        super().__init__()
        self.channels, self.positions = channels, sides[0] * sides[1]
        self.query = nn.Conv2d(channels, 1, 1, bias=False)
        self.value = nn.Linear(channels, inner)
        self.expand = nn.Linear(inner, channels)
        self.norm = nn.LayerNorm(channels, eps=NORM_EPS)
        self.gate = nn.Sigmoid()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """A number in (0, 1) per channel."""
        shares_BP1 = self.query(x_BCHW).reshape(-1, self.positions, 1).softmax(1)
        seen_BC1 = x_BCHW.reshape(-1, self.channels, self.positions) @ shares_BP1
        inner_BI = self.value(seen_BC1.reshape(-1, self.channels))
        return self.gate(self.norm(self.expand(inner_BI))).reshape(-1, self.channels, 1, 1)


class PositionGates(nn.Module):
    """Of every position's product with one query: (B, C, H, W) to (B, 1, H, W).

    Keys are no linear layer, so that softmax and products are in fp32 in every format.
    """

    def __init__(self, channels: int, inner: int, sides: Sides) -> None:
        super().__init__()
        self.channels, self.sides = channels, sides
        self.means = Means()
        self.query = nn.Linear(channels, inner, bias=False)
        self.key_IC = nn.Parameter(torch.empty(inner, channels))
        nn.init.normal_(self.key_IC, std=channels**-0.5)
        self.gate = nn.Sigmoid()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """A number in (0, 1) per position."""
        height, width = self.sides
        shares_BI = self.query(self.means(x_BCHW)).softmax(1)
        weights_B1C = (shares_BI @ self.key_IC).reshape(-1, 1, self.channels)
        products_B1P = weights_B1C @ x_BCHW.reshape(-1, self.channels, height * width)
        return self.gate(products_B1P.reshape(-1, 1, height, width))


def polarized_axes(attention: str) -> Axes:
    """Roles of "of_channels" and "of_positions" in the attention of that name."""
    channels, size = f"channels_{attention}", f"size_{attention}"
    return {
        "of_channels.query.weight": (None, channels, None, None),
        **linear_axes("of_channels.value", size, channels),
        **linear_axes("of_channels.expand", channels, size),
        **norm_axes("of_channels.norm", channels),
        "of_positions.query.weight": (size, channels),
        "of_positions.key_IC": (size, channels),
    }
