"""fp16: gradients are larger inside of a network, and steps in which one overflows are left out.

Numbers below 6e-8 are nothing in fp16, and many gradients are smaller. They are multiplied by a
scale where they enter a network, and divided by it where they leave it, in fp32. The scale is
halved when a gradient has become too large, and doubled after many steps in which none has. It is
part of what batches keep, so it is in checkpoints, and known to all processes.

Source: Micikevicius et al., Mixed Precision Training (2018), sections 3.2 and 3.3. Departures:
losses are as they are. The scale belongs to the borders of a network, so that methods which take
gradients of losses, compare them or move weights along them have true ones.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from supernets.device import FP16
from supernets.team import State

SCALE, STEPS, OVERFLOW = "loss_scale", "steps_of_loss_scale", "has_overflowed"
KEPT = (SCALE, STEPS, OVERFLOW)
"""Names of what is kept from step to step: the scale, for how long, and whether the last step had
gradients that are no finite numbers."""

FIRST, LEAST, LARGEST = 2.0**16, 1.0, 2.0**24
GROWS_AFTER = 2000
"""Steps without overflow."""


def initial_scale(precision: str) -> State:
    """What is kept before the first step; nothing in other precisions than fp16."""
    return _kept(FIRST, 0, has_overflowed=False) if precision == FP16 else {}


def scale_of(state: State) -> float:
    """By what gradients are multiplied in the next step; 1 if nothing is kept."""
    return float(state.get(SCALE, 1.0))


def beside_scale(state: State) -> State:
    """What else is kept."""
    return {name: array for name, array in state.items() if name not in KEPT}


def overflow_of(network: nn.Module, state: State) -> State:
    """What a batch reports of the gradients that it has left in the parameters."""
    if SCALE not in state:
        return {}
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    norms = torch._foreach_norm(gradients) if gradients else []
    is_finite = not norms or bool(torch.stack(list(norms)).isfinite().all())
    return {OVERFLOW: np.array(not is_finite)}


def folded_scale(state: State, reports: Sequence[State]) -> State:
    """What is kept after a step; a pure function."""
    if SCALE not in state:
        return {}
    scale, steps = float(state[SCALE]), int(state[STEPS]) + 1
    is_left_out = any(bool(report[OVERFLOW]) for report in reports)
    if is_left_out:
        scale, steps = max(LEAST, scale / 2), 0
    elif steps == GROWS_AFTER:
        scale, steps = min(LARGEST, 2 * scale), 0
    return _kept(scale, steps, has_overflowed=is_left_out)


def has_overflowed(state: State) -> bool:
    """Whether gradients of the last step are none to follow."""
    return bool(state.get(OVERFLOW, False))


def continued_scale(kept: State, expected: State) -> State:
    """What a checkpoint kept, for a training that may be in another precision than it was begun in.

    Args:
        kept: Read from the checkpoint.
        expected: What is kept before the first step.
    """
    own = {name: kept.get(name, expected[name]) for name in KEPT if name in expected}
    return {**beside_scale(kept), **own}


def _kept(scale: float, steps: int, *, has_overflowed: bool) -> State:
    return {
        SCALE: np.array(scale, np.float32),
        STEPS: np.array(steps, np.int64),
        OVERFLOW: np.array(has_overflowed),
    }


@contextmanager
def damped_weights(network: nn.Module, scale: float) -> Iterator[None]:
    """In this context gradients of the network's parameters are divided by the scale."""
    if scale == 1.0:
        yield
        return

    def damp(gradient: Tensor) -> Tensor:
        return gradient / scale

    hooks = [parameter.register_hook(damp) for parameter in network.parameters()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def amplified(values: Tensor, scale: float) -> Tensor:
    """The same values, in fp32, whose gradient is multiplied by the scale."""
    if scale == 1.0 or not values.requires_grad:
        return values
    found: Tensor = _Amplified.apply(values.float(), scale)
    return found


class _Amplified(torch.autograd.Function):
    """The identity, whose gradient is another one."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        return gradient * ctx.scale, None
