"""Position biases that a small network makes of offsets.

Shapes: N heads, Y X offsets of a key, M hidden channels.
"""

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces._sides import Sides
from supernets._generated import AbstractGenerated

LARGEST_BIAS = 16.0
SPREAD, FARTHEST = 8.0, 7
"""An offset of 7 positions, the farthest in most windows, is 8 before its logarithm is taken."""


@final
class ContinuousBias(AbstractGenerated):
    """Biases of all offsets by a network of one hidden layer; when deployed they are stored.

    Source: Liu et al., Swin Transformer V2 (2022), section 3.3; departures in
    search_spaces/operators/swinv2.py.

    Args:
        heads: How many.
        num_offsets: Along the height and along the width; odd.
        hidden: Channels of the network.
    """

    coordinates_YX2: Tensor

    def __init__(self, heads: int, num_offsets: Sides, hidden: int) -> None:
        super().__init__()
        self.hidden_weight = nn.Parameter(torch.randn(hidden, 2))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.head_weight = nn.Parameter(hidden**-0.5 * torch.randn(heads, hidden))
        table = log_spaced(num_offsets)
        self.register_buffer("coordinates_YX2", table, persistent=False)

    def forward(self) -> Tensor:
        """(N, Y, X)."""
        coordinates_YX2 = self.coordinates_YX2.to(self.hidden_weight.dtype)
        hidden_YXM = F.linear(coordinates_YX2, self.hidden_weight, self.hidden_bias)
        biases_YXN = LARGEST_BIAS * F.linear(F.gelu(hidden_YXM), self.head_weight).sigmoid()
        return biases_YXN.permute(2, 0, 1)


def log_spaced(num_offsets: Sides) -> Tensor:
    """Coordinates of every offset, (Y, X, 2), that grow with its logarithm."""
    with torch.device("cpu"):
        ends = [number // 2 for number in num_offsets]
        axes = (torch.arange(-end, end + 1) * (SPREAD / FARTHEST) for end in ends)
        offsets_YX2 = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
        return offsets_YX2.sign() * torch.log2(1 + offsets_YX2.abs()) / math.log2(SPREAD)
