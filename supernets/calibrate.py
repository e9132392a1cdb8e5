"""Batch-norm recalibration of extracted networks.

A member's batch-norm statistics are not those of the supernet, so every extracted network measures
its own before it is judged (Yu and Huang, Universally Slimmable Networks, 2019, section 3). The
variance between batch means counts, unlike in an average of batch variances.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from supernets.device import widest


class _Moments:
    """The statistics of batches together, from those that a norm has worked out for each."""

    def __init__(self) -> None:
        self.count = 0
        self.mean_C = torch.zeros((), dtype=torch.float64)
        self.squares_C = torch.zeros((), dtype=torch.float64)
        """Sum of squared distances from the mean."""

    def add(self, count: int, mean_C: Tensor, variance_C: Tensor) -> None:
        """Adds a batch of `count` values per channel (Chan et al., Updating Formulae, 1979)."""
        total = self.count + count
        apart_C = widest(mean_C) - self.mean_C
        self.squares_C = (
            self.squares_C
            + widest(variance_C) * (count - 1)
            + apart_C.square() * (self.count * count / total)
        )
        self.mean_C = self.mean_C + apart_C * (count / total)
        self.count = total

    def variance_C(self) -> Tensor:
        return self.squares_C / max(1, self.count - 1)


@torch.no_grad()
def recalibrated(network: nn.Module, batches: Iterable[Tensor]) -> nn.Module:
    """The network with the running statistics of these batches, in evaluation mode.

    The network itself is changed and returned: the caller owns a fresh extraction. Each layer is
    measured while the layers before it normalise by batch statistics, as in training.

    Args:
        network: Has no batch norm, or `BatchNorm2d` and what derives from it only.
        batches: Normalised images, (B, C, H, W) each.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    moments = {norm: _Moments() for norm in norms}

    def add(norm: nn.Module, inputs: tuple[Tensor], _: Tensor) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        count = inputs[0].numel() // norm.num_features
        moments[norm].add(count, norm.running_mean, norm.running_var)

    hooks = [norm.register_forward_hook(add) for norm in norms]
    network.eval()
    for norm in norms:
        norm.train()
        norm.momentum = 1.0  # running statistics are those of the last batch
    for images_BCHW in batches:
        network(images_BCHW)
    for hook in hooks:
        hook.remove()
    for norm in norms:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(moments[norm].mean_C)
        norm.running_var.copy_(moments[norm].variance_C())
        norm.momentum = 0.1
    return network.eval()
