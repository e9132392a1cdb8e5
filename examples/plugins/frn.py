"""A norm with its activation: filter response normalization and a thresholded linear unit.

    y = max(x / sqrt(mean of x ** 2 over positions + eps) * gamma + beta, tau)

Source: Singh and Krishnan, Filter Response Normalization Layer (2020), section 3. Departure: eps is
not learnt.
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Cost
from search_spaces.norms import NORMS, AbstractNorm
from supernets.norms import NORM_LAYERS, AbstractNormLayers


@final
@NORMS.register
class FRN(AbstractNorm):
    """Each channel of each image by itself."""

    is_batch_norm: ClassVar = False
    has_batch_statistics: ClassVar = False

    def cost(self, n: int, width: int) -> Cost:
        params = Cost(params=3 * width, vectors=3 * width)
        kernels = Cost(elements=4 * n * width, calls=8, graph_bytes=12 * 30)
        return params + kernels + Cost(quantizers=1)


class FilterResponseNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.tau = nn.Parameter(torch.zeros(width))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        gamma, beta, tau = (p.reshape(-1, 1, 1) for p in (self.weight, self.bias, self.tau))
        power_BC11 = (x_BCHW * x_BCHW).mean((2, 3), keepdim=True)
        return torch.maximum(x_BCHW * (gamma * torch.rsqrt(power_BC11 + 1e-6)) + beta, tau)


@final
@NORM_LAYERS.register
class FRNLayers(AbstractNormLayers):
    def norm(self, width: int) -> nn.Module:
        return FilterResponseNorm(width)

    def act(self) -> nn.Module:
        return nn.Identity()
