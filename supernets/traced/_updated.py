"""Layers whose weight is frozen, and learns a product of two small matrices that is added to it.

The product begins at 0, so that a layer begins as its frozen weight. What is deployed is one layer
with the sum; biases are learnt as they are.

Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models (2021), section 4.1, for a
network's stitches as in Pan et al., Stitched ViTs are Flexible Vision Backbones (2024). Departures:
the product is not scaled, and the bias is learnt.

Shapes: B batch, C channels, H W space, I inputs, O outputs, R rank.
"""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supernets._merged import AbstractMerged, AbstractMergedConv


@final
class UpdatedConv2d(nn.Module, AbstractMergedConv):
    """A 1x1 convolution.

    Args:
        in_width: Channels that come in.
        width: Channels that go out.
        rank: Of the product.
    """

    def __init__(self, in_width: int, width: int, rank: int) -> None:
        super().__init__()
        self.stride, self.padding, self.groups = 1, 0, 1
        self.register_buffer("weight", _frozen(width, in_width)[..., None, None])
        self.down, self.up = _factors(in_width, width, rank)
        self.bias = nn.Parameter(torch.zeros(width))

    def kernel(self) -> tuple[Tensor, Tensor | None]:
        """(O, I, 1, 1) and (O,)."""
        return self.get_buffer("weight") + (self.up @ self.down)[..., None, None], self.bias

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H, W)."""
        return F.conv2d(x_BCHW, *self.kernel())


@final
class UpdatedLinear(nn.Module, AbstractMerged):
    """A linear layer.

    Args:
        in_width: Values that come in.
        width: Values that go out.
        rank: Of the product.
    """

    def __init__(self, in_width: int, width: int, rank: int) -> None:
        super().__init__()
        self.register_buffer("weight", _frozen(width, in_width))
        self.down, self.up = _factors(in_width, width, rank)
        self.bias = nn.Parameter(torch.zeros(width))

    def matrix(self) -> Tensor:
        """The weight that is used, (O, I), with gradients to both factors."""
        return self.get_buffer("weight") + self.up @ self.down

    def forward(self, x: Tensor) -> Tensor:
        """(..., width)."""
        return F.linear(x, self.matrix(), self.bias)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The linear layer."""
        matrix_OI = self.matrix()
        layer = nn.Linear(matrix_OI.shape[1], matrix_OI.shape[0], device="meta")
        layer.weight = nn.Parameter(matrix_OI.clone())
        layer.bias = nn.Parameter(self.bias.clone())
        return layer


def first_factor(rank: int, in_width: int, rng: torch.Generator | None = None) -> Tensor:
    """The factor that reads, (R, I), as it begins: random, if not otherwise by torch itself."""
    return torch.randn(rank, in_width, generator=rng) / in_width**0.5


def _frozen(width: int, in_width: int) -> Tensor:
    """Of a layer that nobody has given a weight, (O, I)."""
    return torch.randn(width, in_width) / in_width**0.5


def _factors(in_width: int, width: int, rank: int) -> tuple[nn.Parameter, nn.Parameter]:
    """(R, I) and (O, R)."""
    return nn.Parameter(first_factor(rank, in_width)), nn.Parameter(torch.zeros(width, rank))
