"""Single batches of a supernet whose weights are random, for tests of training methods."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from nas.testing._tensors import randomise_
from nas.testing.methods import small_images
from supernets.context import Context
from supernets.methods._base import AbstractMethod
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet

PLAN = TrainPlan(steps=4, batch_size=8)


def context_for(method: AbstractMethod, *, turn: int = 0) -> Context:
    """What the method works with in a batch; every number of the weights is random."""
    supernet = Supernet(method.space)
    randomise_(supernet, seed=1)
    batches = SupernetBatches(PLAN, method).averaging(supernet.train())
    return batches.context(supernet, small_images(), turn, method.initial_state())


def gradients_of(method: AbstractMethod, context: Context) -> list[Tensor | None]:
    """What a batch leaves in the parameters, which had nothing before."""
    context.set_gradients([None] * len(context.parameters))
    method.step(context)
    return [None if p.grad is None else p.grad.clone() for p in context.parameters]


def assert_even_steps(*methods: AbstractMethod) -> None:
    """See that gradients of a batch change by the same, and by something, from each to the next."""
    flat = []
    for method in methods:
        context = context_for(method)
        found = zip(context.parameters, gradients_of(method, context), strict=True)
        flat.append(
            torch.cat([(torch.zeros_like(p) if g is None else g).ravel() for p, g in found])
        )
    first, *others = (after - before for before, after in pairwise(flat))
    assert first.abs().max() > 1e-4
    for other in others:
        torch.testing.assert_close(other, first, rtol=1e-3, atol=1e-5)


def largest_difference(first: Sequence[Tensor | None], second: Sequence[Tensor | None]) -> float:
    """Between gradients; infinite where one of them has none."""
    found = 0.0
    for one, other in zip(first, second, strict=True):
        if (one is None) != (other is None):
            return float("inf")
        if one is not None and other is not None:
            found = max(found, float((one - other).abs().max()))
    return found
