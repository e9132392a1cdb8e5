"""How much a network would learn with more of its parameters: the natural expansion score.

    score = g' F^-1 g

g is the gradient of the loss, F the Fisher information, here its diagonal. It is about how much the
loss falls in a step of natural gradient, and counts directions by how surely batches agree on them.
A network that has grown without change of its function (`supernets/growth.py`) has the same loss
and further directions; how many times its score is that of the network before says what they are
worth.

Source: Appolinary et al., Self Expanding Convolutional Neural Networks (2024). Departures: the
Fisher information is that of batches' gradients on true labels, and what it has of the mean's
square by chance is taken off, so that parameters about which batches do not agree count for nothing
on average; which expansion is carried out follows from the score gained per parameter
(`nas/expand.py`).
"""

import copy

import torch
from torch import Tensor

from supernets.images import Images
from supernets.network import PlainNetwork
from supernets.steps import AloneBatches

BATCHES = 16
DAMPING = 1e-10
"""Added to squares of gradients by which is divided."""


def expansion_score(
    network: PlainNetwork, images: Images, batches: AloneBatches, *, count: int = BATCHES
) -> float:
    """The score of a network, on batches that come next in training; it may be below 0 by chance.

    Args:
        network: Stays as it is.
        images: To train on.
        batches: How it was trained.
        count: Of batches, at least 2.

    Returns:
        A number from about 0 to the number of parameters.
    """
    assert count > 1
    twin = copy.deepcopy(network).to(batches.plan.device).train()
    sums: dict[str, Tensor] = {}
    squares: dict[str, Tensor] = {}
    for turn in range(batches.plan.steps, batches.plan.steps + count):
        twin.zero_grad()
        with torch.enable_grad():
            batches(twin, images, turn, {})
        for name, parameter in twin.named_parameters():
            if parameter.grad is not None:
                _add(sums, name, parameter.grad)
                _add(squares, name, parameter.grad.square())
    return sum(
        _agreement(sums[name] / count, squares[name] / count, count) for name in sorted(sums)
    )


def _add(totals: dict[str, Tensor], name: str, tensor: Tensor) -> None:
    totals[name] = totals[name] + tensor if name in totals else tensor.clone()


def _agreement(mean: Tensor, square: Tensor, count: int) -> float:
    """Squares of means, without what they have by chance, in means of squares; summed."""
    unbiased = (count * mean.square() - square) / (count - 1)
    return float((unbiased / (square + DAMPING)).double().sum())
