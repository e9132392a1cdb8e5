"""Stochastic gradient descent with Nesterov's momentum, for every parameter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn
from torch.optim import SGD as TorchSGD
from torch.optim import Optimizer

from supernets.optimizers._base import OPTIMIZERS, AbstractOptimizer, decayed_and_others

MOMENTUM = 0.9


@final
@OPTIMIZERS.register
@dataclass(frozen=True)
class SGD(AbstractOptimizer):
    """Biases, norms and tables are not decayed."""

    learning_rate: ClassVar[float] = 0.1

    def build(self, network: nn.Module, *, weight_decay: float) -> Sequence[Optimizer]:
        """One optimizer, two groups."""
        groups = decayed_and_others(network.parameters(), weight_decay=weight_decay)
        return [TorchSGD(groups, momentum=MOMENTUM, nesterov=True)]
