"""EvoNorm-S0; formula, source and departures in search_spaces/norms/evonorm_s0.py.

Shapes: B batch, C channels, H W space, G groups, S channels of a group.
"""

from typing import final

import torch
from torch import Tensor, nn

from search_spaces.norms.evonorm_s0 import group_size
from supernets.norms._base import NORM_LAYERS, AbstractNormLayers

EPS = 1e-5


class EvoNormS0(nn.Module):
    """Norm and activation of each sample by itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.group_size = width, group_size(width)
        self.v = nn.Parameter(torch.ones(width))
        self.gamma = nn.Parameter(torch.ones(width))
        self.beta = nn.Parameter(torch.zeros(width))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        gate_BCHW = torch.sigmoid(self.v.reshape(-1, 1, 1) * x_BCHW)
        return x_BCHW * gate_BCHW * self._scale(x_BCHW) + self.beta.reshape(-1, 1, 1)

    def _scale(self, x_BCHW: Tensor) -> Tensor:
        """gamma / std: (B, C, 1, 1).

        The variance of a group is the mean of its channels' variances plus the variance of their
        means, so no map is reshaped by its sides, which an exported network would look up.
        """
        groups, size = self.width // self.group_size, self.group_size
        mean_BC11 = x_BCHW.mean((2, 3), keepdim=True)
        apart_BCHW = x_BCHW - mean_BC11
        within_BGS = (apart_BCHW * apart_BCHW).mean((2, 3)).reshape(-1, groups, size)
        mean_BGS = mean_BC11.reshape(-1, groups, size)
        apart_BGS = mean_BGS - mean_BGS.mean(2, keepdim=True)
        variance_BG1 = (within_BGS + apart_BGS * apart_BGS).mean(2, keepdim=True)
        scale_BGS = self.gamma.reshape(groups, size) * torch.rsqrt(variance_BG1 + EPS)
        return scale_BGS.reshape(-1, self.width, 1, 1)


@final
@NORM_LAYERS.register
class EvoNormS0Layers(AbstractNormLayers):
    """All in one module."""

    def norm(self, width: int) -> nn.Module:
        """EvoNorm-S0."""
        return EvoNormS0(width)

    def act(self) -> nn.Module:
        """None of its own."""
        return nn.Identity()
