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

    order_CG: Tensor

    def __init__(self, width: int, kernel_size: int, group_size: int) -> None:
        groups = width // group_size
        super().__init__(
            width, width, kernel_size, padding=kernel_size // 2, groups=groups, bias=False
        )
        with torch.device("cpu"):  # stays real on the meta device
            own_C = torch.arange(width) % group_size
            order_CG = own_C[:, None] ^ torch.arange(group_size)
        self.register_buffer("order_CG", order_CG, persistent=False)

    def kernel(self) -> tuple[Tensor, Tensor | None]:
        """Kernels in the order of their inputs, (C, G, K, K); no bias."""
        # A `TunedConv2d` is moved with tables of its own, and not this one's.
        order_CG = self.order_CG.to(self.weight.device)
        index = order_CG[..., None, None].expand(-1, -1, *self.kernel_size)
        return self.weight.gather(1, index), None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        return self._conv_forward(x_BCHW, *self.kernel())
