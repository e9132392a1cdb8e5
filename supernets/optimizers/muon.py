"""Muon: momentum whose matrices are made orthogonal; AdamW for what is no matrix.

Source: Jordan et al., Muon: an optimizer for hidden layers in neural networks (2024). Departures:
kernels of full convolutions are matrices of (out, in * k * k); the classifier is one, too; linear
layers take `LINEAR_SCALE` of the rate; depthwise kernels, norms, biases and tables go by AdamW at
`ADAM_SCALE` of it; of shared weights only the block that a step trained is stepped. Not torch's own
`torch.optim.Muon`: that takes matrices only one by one and multiplies them in bf16, which
processors without such products emulate; here all matrices of a shape are one batch, in fp32.

Shapes: P parameters of a shape, R rows, C columns.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from supernets.optimizers._base import (
    OPTIMIZERS,
    AbstractOptimizer,
    decayed_and_others,
    group,
    matrices,
)

MOMENTUM = 0.95
ADAM_SCALE = 0.16
"""Norms and biases learn best at far more than the usual rate of Adam."""

LINEAR_SCALE = 0.2
"""Batch norm follows every full convolution and makes its scale irrelevant; nothing does so for
linear layers, and attention does not learn at the rate that is best for convolutions."""

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the paper's quintic: singular values of 0.01 to 1 come near 1 in five steps."""

NEWTON_SCHULZ_STEPS = 5


@final
@OPTIMIZERS.register
@dataclass(frozen=True)
class Muon(AbstractOptimizer):
    """Orthogonal steps for matrices, AdamW for the rest."""

    learning_rate: ClassVar[float] = 0.1

    def build(self, network: nn.Module, *, weight_decay: float) -> Sequence[Optimizer]:
        """One optimizer for matrices and one for the rest, if there is a rest."""
        found = matrices(network)
        known = set(map(id, found))
        rest = [p for p in network.parameters() if id(p) not in known]
        kernels, linear = [p for p in found if p.ndim > 2], [p for p in found if p.ndim == 2]
        optimizers: list[Optimizer] = []
        if found:
            groups = [
                group(kernels, weight_decay=weight_decay),
                group(linear, weight_decay=weight_decay, scale=LINEAR_SCALE),
            ]
            optimizers.append(Orthogonal(groups))
        if rest:
            groups = decayed_and_others(rest, weight_decay=weight_decay, scale=ADAM_SCALE)
            optimizers.append(torch.optim.AdamW(groups, fused=True))
        return optimizers


class Orthogonal(Optimizer):
    """Steps along the orthogonal factor of the momentum; a tensor is a matrix of its rows.

    Only the block that has a gradient takes part: the rows and inputs of the members that a step
    trained. The rest of a shared matrix, which may be many times larger, is left alone.
    """

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of every parameter that has a gradient."""
        by_shape: dict[tuple[int, int], list[tuple[Tensor, Tensor, float, float]]]
        by_shape = defaultdict(list)
        trained = [
            (parameter, parameter.grad, entry)
            for entry in self.param_groups
            for parameter in entry["params"]
            if parameter.grad is not None
        ]
        extents = _extents([gradient for _, gradient, _ in trained])
        for (parameter, gradient, entry), extent in zip(trained, extents, strict=True):
            block, direction_RC = self._direction(parameter, gradient, extent)
            rows, columns = direction_RC.shape
            if rows and columns:
                known = by_shape[rows, columns]
                known.append((block, direction_RC, entry["lr"], entry["weight_decay"]))
        for (rows, columns), known in by_shape.items():
            steps_PRC = orthogonal(torch.stack([direction for _, direction, _, _ in known]))
            scale = max(1.0, rows / columns) ** 0.5
            for (block, _, rate, decay), step_RC in zip(known, steps_PRC, strict=True):
                block.mul_(1 - rate * decay)
                block.add_(step_RC.reshape(block.shape), alpha=-rate * scale)

    def _direction(
        self, parameter: nn.Parameter, gradient: Tensor, extent: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """The block that has a gradient, and Nesterov's momentum there as a matrix."""
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        rows, columns = extent
        gradient = gradient[:rows, :columns]
        momentum = state["momentum"][:rows, :columns]
        momentum.lerp_(gradient, 1 - MOMENTUM)
        return parameter[:rows, :columns], gradient.lerp(momentum, MOMENTUM).flatten(1)


def _extents(gradients: Sequence[Tensor]) -> list[tuple[int, int]]:
    """Up to which row and column of each there is something else than zero.

    Read together, because every reading waits for the device.
    """
    ends = []
    for gradient in gradients:
        inputs = gradient.abs().flatten(2).amax(2) if gradient.ndim > 2 else gradient.abs()
        ends += [_end(inputs.amax(1)), _end(inputs.amax(0))]
    found = torch.stack(ends).tolist() if ends else []
    return list(zip(found[::2], found[1::2], strict=True))


def _end(sizes: Tensor) -> Tensor:
    """The number of entries up to the last one that is not zero: ()."""
    return (torch.arange(1, len(sizes) + 1, device=sizes.device) * (sizes != 0)).amax()


def orthogonal(matrices_PRC: Tensor) -> Tensor:
    """About the nearest orthogonal matrices, by Newton-Schulz iteration."""
    a, b, c = NEWTON_SCHULZ
    is_tall = matrices_PRC.shape[1] > matrices_PRC.shape[2]
    x = matrices_PRC.mT if is_tall else matrices_PRC
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-12)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x
