"""Kernels that a network makes of the coordinates of their elements, at any size.

Shapes: B batch, C channels, H W space, K side of a kernel, D hidden channels.
"""

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces._sides import Sides
from supernets._generated import AbstractGenerated
from supernets._merged import AbstractMergedConv


@final
class SlowNet(nn.Module):
    """Waves of a kernel's coordinates, multiplied with what a layer makes of other waves.

    Source: Romero et al., FlexConv: Continuous Kernel Convolutions with Differentiable Kernel Sizes
    (2022), section 3.2, multiplicative anisotropic Gabor networks. Departure: filters are waves
    without an envelope, as in Zhang, HyperZ.Z.W (2024).

    Args:
        width: C.
        hidden: D.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(math.pi * torch.randn(2, hidden, 2))
        self.phases = nn.Parameter(torch.randn(2, hidden))
        self.mix = nn.Parameter(torch.randn(hidden, hidden) / hidden**0.5)
        self.mix_bias = nn.Parameter(torch.ones(hidden))
        self.out = nn.Parameter(torch.randn(width, hidden) / hidden**0.5)

    def forward(self, size: Sides) -> Tensor:
        """The kernel of this size: (C, H, W)."""
        like = self.out
        y_H, x_W = (
            torch.linspace(-1, 1, side, dtype=like.dtype, device=like.device) for side in size
        )
        places_HW2 = torch.stack(torch.meshgrid(y_H, x_W, indexing="ij"), -1)
        waves_2HWD = torch.stack(
            [(places_HW2 @ self.frequencies[i].T + self.phases[i]).sin() for i in range(2)]
        )
        features_HWD = waves_2HWD[1] * (waves_2HWD[0] @ self.mix.T + self.mix_bias)
        return (features_HWD @ self.out.T).permute(2, 0, 1)


@final
class HyperDepthwise(nn.Module, AbstractMergedConv):
    """A depthwise convolution whose kernel a slow network makes.

    Args:
        width: C.
        kernel_size: K.
        hidden: Of the network.
    """

    def __init__(self, width: int, kernel_size: int, hidden: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride, self.padding, self.groups = 1, kernel_size // 2, width
        self.slow = SlowNet(width, hidden)
        self.bias = nn.Parameter(torch.zeros(width))

    def kernel(self) -> tuple[Tensor, Tensor | None]:
        """(C, 1, K, K), as large in sum whatever its size, and (C,)."""
        kernel_CKK = self.slow((self.kernel_size, self.kernel_size)) / self.kernel_size
        return kernel_CKK.unsqueeze(1), self.bias

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        return F.conv2d(x_BCHW, *self.kernel(), 1, self.padding, 1, self.groups)


def in_context(x_BCHW: Tensor, values_BCHW: Tensor, kernel_CHW: Tensor) -> Tensor:
    """Rows of the values, added up by products of rows: (kernel * x) x^T values / pixels.

    Args:
        x_BCHW: The map.
        values_BCHW: What is added up.
        kernel_CHW: Of the map's size.
    """
    weights_BCHH = (x_BCHW * kernel_CHW) @ x_BCHW.transpose(-2, -1)
    return weights_BCHH @ values_BCHW


@final
class HyperContextKernel(AbstractGenerated):
    """The kernel of `in_context`.

    Args:
        width: C.
        size: Of the map.
        hidden: Of the network.
    """

    def __init__(self, width: int, size: Sides, hidden: int) -> None:
        super().__init__()
        self.size = size
        self.slow = SlowNet(width, hidden)

    def forward(self) -> Tensor:
        """(C, H, W), divided by the number of what is added up."""
        return self.slow(self.size) / math.prod(self.size)
