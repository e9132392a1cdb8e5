"""Products with the neighbours of every position, and sums over them whose weights differ from
position to position.

Shapes: B batch, C channels, G groups, H W space, K side of a kernel, T taps of all kernels.
"""

from collections.abc import Iterator
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces._sides import Sides
from supernets._generated import AbstractGenerated
from supernets._modules import MASKED


@final
class NeighbourSum(nn.Module):
    """A depthwise convolution whose kernel is another one at every position.

    Positions beyond the border are 0. The last group may have fewer channels.

    Args:
        width: Channels.
        size: Of the map.
        kernel_size: Odd.
        group_size: Neighbouring channels that share their kernels.
        dilation: Distance of neighbouring taps, pixels.
    """

    def __init__(
        self, width: int, size: Sides, kernel_size: int, group_size: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        self.width, self.size, self.kernel_size = width, size, kernel_size
        self.groups, self.group_size = num_groups(width, group_size), group_size
        self.dilation, self.products = dilation, kernel_size**2
        reach = dilation * (kernel_size // 2)
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
        seen = neighbours(x, self.size, self.kernel_size, self.dilation)
        total = next(seen) * of_taps[0]
        for tap, x_BGCHW in enumerate(seen, start=1):
            total = total + x_BGCHW * of_taps[tap]
        total = total.reshape(-1, self.groups * self.group_size, height, width)
        return total[:, : self.width] if self.padding[-1] else total


@final
class NeighbourProduct(nn.Module):
    """Logits of attention to neighbours: inner products of every position with those around it.

    Behind softmax over taps they are kernels for a `NeighbourSum`; those of neighbours beyond the
    border are masked.

    Args:
        width: Channels, whole groups.
        size: Of the map.
        kernel_size: Odd.
        group_size: Neighbouring channels that are summed over: those of a head.
        dilation: Distance of neighbouring taps, pixels.
    """

    rows_KH: Tensor
    columns_KW: Tensor

    def __init__(
        self, width: int, size: Sides, kernel_size: int, group_size: int, dilation: int = 1
    ) -> None:
        super().__init__()
        self.size, self.kernel_size, self.dilation = size, kernel_size, dilation
        self.groups, self.group_size = width // group_size, group_size
        self.products = group_size
        reach = dilation * (kernel_size // 2)
        self.sides, self.padding = (size[0] + 2 * reach, size[1] + 2 * reach), 4 * [reach]
        # Not part of the state, and real on the meta device.
        for name, side in zip(("rows_KH", "columns_KW"), size, strict=True):
            mask = ~within(side, kernel_size, dilation)
            self.register_buffer(name, mask.float() * MASKED, persistent=False)

    def forward(self, x_BCHW: Tensor, y_BCHW: Tensor, bias_KKG: Tensor) -> Tensor:
        """(B, T, G, H, W): all groups of one tap after the other, from top left.

        Args:
            x_BCHW: Positions.
            y_BCHW: Their neighbours.
            bias_KKG: Of every tap.
        """
        (height, width), side = self.size, self.kernel_size
        x = x_BCHW.reshape(-1, 1, self.groups, self.group_size, height, width)
        y = F.pad(y_BCHW, self.padding)
        y = y.reshape(-1, self.groups, self.group_size, *self.sides)
        seen = list(neighbours(y, self.size, side, self.dilation))
        products = []
        for first in range(0, side**2, side):  # a row at once: few kernels, and little memory
            row = torch.cat(seen[first : first + side], dim=1)
            row = row.reshape(-1, side, self.groups, self.group_size, height, width)
            products.append((x * row).sum(3))
        # Rows and columns each to what is learnt: their sum alone would be stored in a file.
        bias = bias_KKG.reshape(side, side, -1, 1, 1) + self.rows_KH.reshape(side, 1, 1, height, 1)
        bias = bias + self.columns_KW.reshape(side, 1, 1, width)
        return torch.cat(products, dim=1) + bias.reshape(side**2, -1, height, width)


def neighbours(x_BGCHW: Tensor, size: Sides, kernel_size: int, dilation: int) -> Iterator[Tensor]:
    """What every tap of a kernel sees of a map, from top left.

    Args:
        x_BGCHW: The map, padded by as much as the kernel reaches.
        size: Of the map without padding.
        kernel_size: Odd.
        dilation: Distance of neighbouring taps, pixels.
    """
    starts = [dilation * tap for tap in range(kernel_size)]
    for row in [_part(x_BGCHW, 3, start, size[0], starts[-1]) for start in starts]:
        for start in starts:
            yield _part(row, 4, start, size[1], starts[-1])


def _part(x: Tensor, axis: int, start: int, length: int, last: int) -> Tensor:
    """So many rows or columns of a map with `last` more: by a split, one node in a file."""
    sizes = [start, length, last - start]
    return x.split([size for size in sizes if size], dim=axis)[bool(start)]


def within(side: int, kernel_size: int, dilation: int) -> Tensor:
    """Along one side of a map, which taps of a kernel are inside at which position: (K, S)."""
    with torch.device("cpu"):
        taps_K = dilation * (torch.arange(kernel_size) - kernel_size // 2)
        seen_KS = taps_K[:, None] + torch.arange(side)
        return (seen_KS >= 0) & (seen_KS < side)


def num_groups(width: int, group_size: int) -> int:
    """Groups of so many channels, the last perhaps smaller."""
    return -(-width // group_size)


@final
class GeneratedKernels(AbstractGenerated):
    """Kernels of all positions, as `NeighbourSum` takes them, that a small network makes.

    The network reads an affinity map that is learnt.

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

    def forward(self) -> Tensor:
        """(1, T, H, W)."""
        hidden = F.conv2d(self.affinity[None], self.hidden_weight, self.hidden_bias, 1, self.reach)
        weight_KKCD = self.kernel_weight.permute(1, 2, 0, 3)
        weight = weight_KKCD.reshape(-1, weight_KKCD.shape[-1], 1, 1)
        return F.conv2d(F.gelu(hidden), weight, self.kernel_bias.permute(1, 2, 0).flatten())
