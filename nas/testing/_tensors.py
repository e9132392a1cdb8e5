"""Tensors and weights whose every number is random, so that nothing is zero or equal by luck."""

import torch
from torch import nn


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """Standard normal values."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def randomise_(module: nn.Module, *, seed: int) -> None:
    """Gives every parameter and every batch-norm statistic a random value."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        values = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim > 1:
            parameter.copy_(values / parameter[0].numel() ** 0.5)
        else:
            parameter.copy_(0.2 * values + name.endswith("norm.weight"))
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            width = norm.num_features
            norm.running_mean.copy_(0.3 * torch.randn(width, generator=generator))
            norm.running_var.copy_(0.5 + torch.rand(width, generator=generator))
