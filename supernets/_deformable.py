"""Sampling at places that the map decides.

Shapes: B batch, C channels, G groups of channels, H W space, P taps, J rows or columns of the
neighbourhood in which places lie.
"""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces._sides import Sides
from supernets._neighbours import NeighbourSum, num_groups

SIDE = 3
"""Of the kernel whose taps are moved."""


@final
class DeformableSum(nn.Module):
    """A depthwise 3x3 sum whose taps are moved by up to a pixel and weighed, at every position.

    A sample between pixels is bilinear, so each of the 5x5 neighbours has a weight, the sum over
    taps of how near it is.

    Source: Zhu et al., Deformable ConvNets v2: More Deformable, Better Results (2019), equation 1.
    Departures: places are bounded; weights are not, as in DCNv4, and are counted in ninths.

    Args:
        width: Channels.
        size: Of the map.
        group_size: Neighbouring channels that share places and weights.
    """

    down_P111: Tensor
    right_P111: Tensor
    rows_J111: Tensor

    def __init__(self, width: int, size: Sides, group_size: int) -> None:
        super().__init__()
        self.size, self.groups = size, num_groups(width, group_size)
        reach = SIDE // 2 + 1
        self.predict = nn.Conv2d(width, 3 * SIDE**2 * self.groups, 1)
        self.sum = NeighbourSum(width, size, 2 * reach + 1, group_size)
        with torch.device("cpu"):  # not part of the state, and real on the meta device
            taps_K = torch.arange(SIDE, dtype=torch.float32) - SIDE // 2
            rows_J = torch.arange(2 * reach + 1, dtype=torch.float32) - reach
        taps = {
            "down_P111": taps_K.repeat_interleave(SIDE),
            "right_P111": taps_K.repeat(SIDE),
            "rows_J111": rows_J,
        }
        for name, values in taps.items():
            self.register_buffer(name, values.reshape(-1, 1, 1, 1), persistent=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        parts = self.predict(x_BCHW).reshape(-1, 3, SIDE**2, self.groups, *self.size)
        down_BPJGHW = self._nearness(parts.select(1, 0).tanh() + self.down_P111)
        right_BPJGHW = self._nearness(parts.select(1, 1).tanh() + self.right_P111)
        weighed = down_BPJGHW * (parts.select(1, 2) * SIDE**-2).unsqueeze(2)
        kernels = (weighed.unsqueeze(3) * right_BPJGHW.unsqueeze(2)).sum(1)
        taps = self.sum.kernel_size**2 * self.groups
        output: Tensor = self.sum(x_BCHW, kernels.reshape(-1, taps, *self.size))
        return output

    def _nearness(self, place_BPGHW: Tensor) -> Tensor:
        """Share of a sample that the pixels of each row or column have: (B, P, J, G, H, W)."""
        apart = (place_BPGHW.unsqueeze(2) - self.rows_J111).abs()
        return F.relu(1 - apart)
