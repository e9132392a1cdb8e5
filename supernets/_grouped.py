"""Convolutions in groups of a constant number of channels, of which smaller groups are a part.

Shapes: C channels, G channels of a group, K side of a kernel.
"""

from typing import final

import torch
from torch import Tensor, nn

from supernets._merged import AbstractMergedConv


@final
class GroupedConv2d(nn.Conv2d, AbstractMergedConv):
    """A convolution in groups of neighbouring channels; the padding keeps the map's size.

    Every output channel has its kernels in the order of how far the inputs are from it: number i
    reads the channel whose place in the group is its own place xor i. So the first ones are those
    of a smaller group, and what connects two channels has the same weight in groups of any size.
    Deployed it is an ordinary convolution.

    Args:
        width: Channels that come in and go out, whole groups.
        kernel_size: Odd.
        group_size: A power of 2.
    """

    def __init__(self, width: int, kernel_size: int, group_size: int) -> None:
        groups = width // group_size
        super().__init__(
            width, width, kernel_size, padding=kernel_size // 2, groups=groups, bias=False
        )

    def kernel(self) -> tuple[Tensor, Tensor | None]:
        """Kernels in the order of their inputs, (C, G, K, K); no bias."""
        width, group_size, *sides = self.weight.shape
        places_G = torch.arange(group_size, device=self.weight.device)
        own_C = torch.arange(width, device=self.weight.device) % group_size
        order_CG = own_C[:, None] ^ places_G
        index = order_CG[..., None, None].expand(width, group_size, *sides)
        return self.weight.gather(1, index), None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        return self._conv_forward(x_BCHW, *self.kernel())
