"""Norms by statistics of the batch, batch norm and others.

Shapes: B batch, C channels, H W space.
"""

from abc import ABC, abstractmethod
from typing import TypeGuard

import torch
from torch import Tensor, nn


class AbstractBatchStatistics(nn.BatchNorm2d, ABC):
    """A norm that is more than a batch norm, and measures what a batch norm does.

    So it is measured anew as batch norms are, and not folded.
    """

    is_frozen = False
    """Whether its statistics stay in training mode, too."""

    @abstractmethod
    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in; reads the batch where `reads_batch` says so."""

    def reads_batch(self, x_BCHW: Tensor) -> bool:
        """Whether this batch's statistics count; if so, the running ones follow them."""
        if not self.training or self.is_frozen:
            return False
        if self.momentum:
            self._follow(x_BCHW)
        return True

    @torch.no_grad()
    def _follow(self, x_BCHW: Tensor) -> None:
        variance_C, mean_C = torch.var_mean(x_BCHW, (0, 2, 3))
        assert self.momentum is not None
        for running_C, now_C in ((self.running_mean, mean_C), (self.running_var, variance_C)):
            assert running_C is not None
            running_C.lerp_(now_C.to(running_C.dtype), self.momentum)


def is_batch_norm(norm: nn.Module) -> TypeGuard[nn.BatchNorm2d]:
    """Whether a module is batch norm and no more, so that it folds into a convolution."""
    return isinstance(norm, nn.BatchNorm2d) and not isinstance(norm, AbstractBatchStatistics)
