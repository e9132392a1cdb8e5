"""An optimizer: Lion, steps of one size along the sign of the momentum.

Source: Chen et al., Symbolic Discovery of Optimization Algorithms (2023), algorithm 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import nn
from torch.optim import Optimizer

from supernets.optimizers import OPTIMIZERS, AbstractOptimizer, decayed_and_others

BETA_STEP, BETA_MOMENTUM = 0.9, 0.99


@final
@OPTIMIZERS.register
@dataclass(frozen=True)
class Lion(AbstractOptimizer):
    """Biases, norms and tables are not decayed."""

    learning_rate: ClassVar[float] = 3e-3

    def build(self, network: nn.Module, *, weight_decay: float) -> Sequence[Optimizer]:
        return [Signs(decayed_and_others(network.parameters(), weight_decay=weight_decay))]


class Signs(Optimizer):
    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum, gradient = state["momentum"], parameter.grad
                direction = momentum.lerp(gradient, 1 - BETA_STEP).sign()
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(direction, alpha=-group["lr"])
                momentum.lerp_(gradient, 1 - BETA_MOMENTUM)
