"""Sums over the neighbours of every position, with weights that differ from position to position.

Shapes: B batch, C channels, G groups, H W space, K side of a kernel, T taps of all kernels.
"""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces._sides import Sides
from supernets._merged import AbstractMerged


@final
class NeighbourSum(nn.Module):
    """A depthwise convolution whose kernel is another one at every position.

    Positions beyond the border are 0. The last group may have fewer channels.

    Args:
        width: Channels.
        size: Of the map.
        kernel_size: Odd.
        group_size: Neighbouring channels that share their kernels.
    """

    def __init__(self, width: int, size: Sides, kernel_size: int, group_size: int = 1) -> None:
        super().__init__()
        self.width, self.size, self.kernel_size = width, size, kernel_size
        self.groups, self.group_size = num_groups(width, group_size), group_size
        reach = kernel_size // 2
        self.sides = size[0] + 2 * reach, size[1] + 2 * reach
        self.padding = (*4 * [reach], 0, self.groups * group_size - width)

    def forward(self, x_BCHW: Tensor, kernels_BTHW: Tensor) -> Tensor:
        """The shape that came in.

        Args:
            x_BCHW: The map.
            kernels_BTHW: One kernel after the other tap, from top left: kernel_size ** 2 times as
                many as groups. Its batch may be 1.
        """
        (height, width), taps = self.size, self.kernel_size**2
        x = F.pad(x_BCHW, self.padding).reshape(-1, self.groups, self.group_size, *self.sides)
        kernels = kernels_BTHW.reshape(-1, taps * self.groups, 1, height, width)
        of_taps = kernels.split(self.groups, dim=1)
        rows = [self._part(x, 3, y, height) for y in range(self.kernel_size)]
        total = self._part(rows[0], 4, 0, width) * of_taps[0]
        for tap in range(1, taps):
            y, left = divmod(tap, self.kernel_size)
            total = total + self._part(rows[y], 4, left, width) * of_taps[tap]
        total = total.reshape(-1, self.groups * self.group_size, height, width)
        return total[:, : self.width] if self.padding[-1] else total

    def _part(self, x: Tensor, axis: int, start: int, length: int) -> Tensor:
        """So many rows or columns of a padded map: by a split, which is one node in a file."""
        sizes = [start, length, self.kernel_size - 1 - start]
        return x.split([size for size in sizes if size], dim=axis)[bool(start)]


def num_groups(width: int, group_size: int) -> int:
    """Groups of so many channels, the last perhaps smaller."""
    return -(-width // group_size)


@final
class StoredDepthwise(nn.Module):
    """A depthwise convolution whose kernels of all positions are stored.

    Args:
        total: Adds up.
        kernels_1THW: As `NeighbourSum` takes them.
    """

    def __init__(self, total: NeighbourSum, kernels_1THW: Tensor) -> None:
        super().__init__()
        self.sum = total
        self.kernels = nn.Parameter(kernels_1THW)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        output: Tensor = self.sum(x_BCHW, self.kernels)
        return output


@final
class GeneratedDepthwise(nn.Module, AbstractMerged):
    """A depthwise convolution whose kernels of all positions a small network makes.

    The network reads an affinity map that is learnt; when deployed, its kernels are stored.

    Source: Chen et al., TVConv (2022).

    Args:
        width: Channels.
        size: Of the map.
        kernel_size: Odd.
        affinities: Channels of the affinity map.
        hidden: Of the network.
        generator_kernel_size: Of the network's first convolution; the second one has 1.
    """

    def __init__(
        self,
        width: int,
        size: Sides,
        kernel_size: int,
        *,
        affinities: int,
        hidden: int,
        generator_kernel_size: int,
    ) -> None:
        super().__init__()
        self.reach = generator_kernel_size // 2
        sides = (generator_kernel_size, generator_kernel_size)
        self.affinity = nn.Parameter(torch.randn(affinities, *size))
        self.hidden_weight = nn.Parameter(torch.randn(hidden, affinities, *sides))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.kernel_weight = nn.Parameter(torch.randn(width, kernel_size, kernel_size, hidden))
        self.kernel_bias = nn.Parameter(torch.zeros(width, kernel_size, kernel_size))
        with torch.no_grad():
            self.hidden_weight.mul_((affinities * generator_kernel_size**2) ** -0.5)
            self.kernel_weight.mul_((2 / hidden) ** 0.5 / kernel_size)
        self.sum = NeighbourSum(width, size, kernel_size)

    def kernels(self) -> Tensor:
        """Of all positions, (1, T, H, W), as `NeighbourSum` takes them."""
        hidden = F.conv2d(self.affinity[None], self.hidden_weight, self.hidden_bias, 1, self.reach)
        weight_KKCD = self.kernel_weight.permute(1, 2, 0, 3)
        weight = weight_KKCD.reshape(-1, weight_KKCD.shape[-1], 1, 1)
        return F.conv2d(F.gelu(hidden), weight, self.kernel_bias.permute(1, 2, 0).flatten())

    @torch.no_grad()
    def merged(self) -> nn.Module:
        """The same convolution with stored kernels."""
        return StoredDepthwise(self.sum, self.kernels().clone())

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        output: Tensor = self.sum(x_BCHW, self.kernels())
        return output
