"""Batch-norm recalibration of extracted networks.

A member's batch-norm statistics are not those of the supernet, so every extracted network measures
its own before it is judged (Yu and Huang, Universally Slimmable Networks, 2019, section 3). Exact
population statistics: the variance between batch means counts, unlike in an average of batch
variances.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class _Moments:
    """Sum and sum of squares per channel, in float64."""

    def __init__(self, width: int) -> None:
        self.count = 0
        self.sum_C = torch.zeros(width, dtype=torch.float64)
        self.squares_C = torch.zeros(width, dtype=torch.float64)

    def add(self, x_BCHW: Tensor) -> None:
        self.count += x_BCHW.numel() // x_BCHW.shape[1]
        self.sum_C += x_BCHW.double().sum((0, 2, 3))
        self.squares_C += x_BCHW.double().square().sum((0, 2, 3))

    def mean_and_variance(self) -> tuple[Tensor, Tensor]:
        mean_C = self.sum_C / self.count
        variance_C = (self.squares_C / self.count - mean_C.square()).clamp_min(0.0)
        return mean_C.float(), (variance_C * self.count / max(1, self.count - 1)).float()


@torch.no_grad()
def recalibrated(network: nn.Module, batches: Iterable[Tensor]) -> nn.Module:
    """The network with the running statistics of these batches, in evaluation mode.

    The network itself is changed and returned: the caller owns a fresh extraction. Each layer is
    measured while the layers before it normalise by batch statistics, as in training.

    Args:
        network: Has no batch norm, or `BatchNorm2d` only.
        batches: Normalised images, (B, C, H, W) each.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    moments = {norm: _Moments(norm.num_features) for norm in norms}
    hooks = [
        norm.register_forward_pre_hook(lambda norm, args: moments[norm].add(args[0]))
        for norm in norms
    ]
    network.eval()
    for norm in norms:
        norm.train()
        norm.momentum = 0.0
    for images_BCHW in batches:
        network(images_BCHW)
    for hook in hooks:
        hook.remove()
    for norm in norms:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        mean_C, variance_C = moments[norm].mean_and_variance()
        norm.running_mean.copy_(mean_C)
        norm.running_var.copy_(variance_C)
        norm.momentum = 0.1
    return network.eval()
