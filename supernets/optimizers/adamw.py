"""AdamW, for every parameter.

Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019), as torch has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn
from torch.optim import AdamW as TorchAdamW
from torch.optim import Optimizer

from supernets.optimizers._base import OPTIMIZERS, AbstractOptimizer, decayed_and_others


@final
@OPTIMIZERS.register
@dataclass(frozen=True)
class AdamW(AbstractOptimizer):
    """Biases, norms and tables are not decayed."""

    learning_rate: ClassVar[float] = 8e-3

    def build(self, network: nn.Module, *, weight_decay: float) -> Sequence[Optimizer]:
        """One optimizer, two groups."""
        groups = decayed_and_others(network.parameters(), weight_decay=weight_decay)
        return [TorchAdamW(groups, fused=True)]
