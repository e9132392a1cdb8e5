"""Statistics of trained spatial kernels: how many do nothing, and how alike the others are.

Source: Gavrikov and Keuper, CNN Filter DB: An Empirical Investigation of Trained Convolutional
Filters (2022), section 3: sparsity, variance entropy and orthogonality of kernels of 3x3.
Departures: kernels of any size above 1x1, after batch norm is folded into them, so that a channel
whose scale is nearly 0 counts as one that does nothing; the entropy is a share of the largest that
so many kernels can have; kernels that do nothing are left out of the orthogonality.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

NEAR_ZERO = 0.01
"""Of the largest weight of a layer."""


@dataclass(frozen=True, kw_only=True)
class FilterStatistics:
    """Of one layer.

    Attributes:
        layer: Its name in the network.
        kernel_size: Height and width.
        filters: How many kernels it has: one for each output and each input that it reads.
        near_zero: Share of the kernels of which no weight is more than a hundredth of the largest.
        entropy: Of how much variance each principal component of the kernels has, as a share of
            the largest possible: 1 for kernels like noise, 0 for kernels that repeat one another.
        orthogonality: 1 less the mean cosine, without its sign, of what two outputs read; None
            where fewer than two outputs do anything.
    """

    layer: str
    kernel_size: tuple[int, int]
    filters: int
    near_zero: float
    entropy: float
    orthogonality: float | None


def filter_statistics(network: nn.Module) -> Iterator[FilterStatistics]:
    """Of every convolution whose kernel is larger than 1x1, in the order of the network."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and module.weight[0, 0].numel() > 1:
            yield statistics_of(name, module.weight.detach())


def statistics_of(layer: str, weight: Tensor) -> FilterStatistics:
    """Of a weight (outputs, inputs that each output reads, height, width)."""
    kernels = weight.double().flatten(0, 1).flatten(1)
    largest = kernels.abs().max()
    is_near_zero = kernels.abs().amax(1) <= NEAR_ZERO * largest
    height, width = weight.shape[2:]
    return FilterStatistics(
        layer=layer,
        kernel_size=(height, width),
        filters=len(kernels),
        near_zero=float(is_near_zero.double().mean()),
        entropy=_entropy(kernels),
        orthogonality=_orthogonality(weight.double().flatten(1), NEAR_ZERO * float(largest)),
    )


def _entropy(kernels: Tensor) -> float:
    """Of the shares of variance of principal components; 0 if there is no variance."""
    centred = kernels - kernels.mean(0)
    variances = torch.linalg.svdvals(centred).square()
    total = variances.sum()
    most = min(len(kernels) - 1, kernels.shape[1])
    if most < 2 or float(total) <= torch.finfo(kernels.dtype).eps * float(kernels.square().sum()):
        return 0.0
    shares = variances[variances > 0] / total
    return float(-(shares * shares.log()).sum() / torch.tensor(float(most)).log())


def _orthogonality(outputs: Tensor, least: float) -> float | None:
    active = outputs[outputs.abs().amax(1) > least]
    if len(active) < 2:
        return None
    units = active / active.norm(dim=1, keepdim=True)
    cosines = (units @ units.T).abs()
    others = cosines.sum() - cosines.diagonal().sum()
    return float(1.0 - others / (len(active) * (len(active) - 1)))
