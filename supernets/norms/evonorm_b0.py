"""EvoNorm-B0; formula and source in search_spaces/norms/evonorm_b0.py.

Shapes: B batch, C channels, H W space.
"""

from typing import final

import torch
from torch import Tensor, nn

from supernets._merged import AbstractMerged
from supernets.norms._base import NORM_LAYERS, AbstractNormLayers
from supernets.norms._statistics import AbstractBatchStatistics

EPS = 1e-5


def normalised(
    x_BCHW: Tensor, deviation_C: Tensor, slope_C: Tensor, gamma_C: Tensor, beta_C: Tensor
) -> Tensor:
    """The formula, for a known deviation over batch and positions."""
    of_batch_C11, slope_C11, gamma_C11, beta_C11 = (
        vector_C.reshape(-1, 1, 1) for vector_C in (deviation_C, slope_C, gamma_C, beta_C)
    )
    apart_BCHW = x_BCHW - x_BCHW.mean((2, 3), keepdim=True)
    variance_BC11 = (apart_BCHW * apart_BCHW).mean((2, 3), keepdim=True)
    of_image_BCHW = (1 + slope_C11) * x_BCHW + (variance_BC11 + EPS).sqrt()
    return x_BCHW / torch.maximum(of_image_BCHW, of_batch_C11) * gamma_C11 + beta_C11


class FixedEvoNormB0(nn.Module):
    """What is deployed: the deviation over the batch is a parameter like the others.

    Args:
        deviation_C: That deviation.
        vectors: Slope, gamma and beta.
    """

    def __init__(self, deviation_C: Tensor, *vectors: Tensor) -> None:
        super().__init__()
        self.deviation = nn.Parameter(deviation_C)
        self.slope, self.gamma, self.beta = (nn.Parameter(vector_C) for vector_C in vectors)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        return normalised(x_BCHW, self.deviation, self.slope, self.gamma, self.beta)


@final
class EvoNormB0(AbstractBatchStatistics, AbstractMerged):
    """Norm and activation by the variance of the batch and that of each image.

    Its slope is what the published v differs from 1 by.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, EPS, affine=False)
        self.slope = nn.Parameter(torch.zeros(width))
        self.gamma = nn.Parameter(torch.ones(width))
        self.beta = nn.Parameter(torch.zeros(width))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        variance_C = self.get_buffer("running_var")
        if self.reads_batch(x_BCHW):
            variance_C = x_BCHW.var((0, 2, 3), correction=0)
        return normalised(x_BCHW, (variance_C + EPS).sqrt(), self.slope, self.gamma, self.beta)

    @torch.no_grad()
    def merged(self) -> nn.Module:
        """With the running statistics as they are."""
        deviation_C = (self.get_buffer("running_var") + EPS).sqrt()
        vectors = (vector_C.clone() for vector_C in (self.slope, self.gamma, self.beta))
        return FixedEvoNormB0(deviation_C, *vectors)


@final
@NORM_LAYERS.register
class EvoNormB0Layers(AbstractNormLayers):
    """All in one module."""

    def norm(self, width: int) -> nn.Module:
        """EvoNorm-B0."""
        return EvoNormB0(width)

    def act(self) -> nn.Module:
        """None of its own."""
        return nn.Identity()
