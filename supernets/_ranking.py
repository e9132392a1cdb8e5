"""How important the members of a supernet's prunable groups are.

A group may be made and read in several slots; then it is ranked by the weights of all of them
together. Criteria that need gradients see those of one batch at a time, and their importances of
batches are added up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from supernets._elastic import AbstractElastic
from supernets.criteria._base import AbstractCriterion, GroupWeights, joined

Gradients = Mapping[nn.Parameter, Tensor]
"""Of the loss of one batch, by shared weight; those that are not there are 0."""

Users = Mapping[str, Sequence[tuple[AbstractElastic, str]]]
"""By the name of a group: the modules that have it, and what each calls it."""

DRAWS = 4
"""Tells seeds of groups from other random numbers of a training."""


@torch.no_grad()
def importances(
    users: Users, criterion: AbstractCriterion, *, seed: int, gradients: Iterable[Gradients]
) -> dict[str, Tensor]:
    """By the name of a group: how important each of its members is, (members,).

    Args:
        users: Of every group.
        criterion: What ranks.
        seed: Of criteria that draw.
        gradients: Of batches; not iterated over for criteria that need none.
    """
    if not criterion.needs_gradients:
        return {
            name: criterion.importance(weights) for name, weights in _weights(users, seed).items()
        }
    totals: dict[str, Tensor] = {}
    for of_batch in gradients:
        for name, weights in _weights(users, seed, of_batch).items():
            importance = criterion.importance(weights)
            totals[name] = totals[name] + importance if name in totals else importance
    assert totals or not users, f"{type(criterion).__name__} needs gradients of batches"
    return totals


def _weights(
    users: Users, seed: int, gradients: Gradients | None = None
) -> dict[str, GroupWeights]:
    """What the members of every group are ranked by."""
    modules = dict.fromkeys(module for of_group in users.values() for module, _ in of_group)
    own = {module: _of_module(module, gradients) for module in modules}
    found = {}
    for number, (name, of_group) in enumerate(users.items()):
        drawn = int(np.random.default_rng([seed, DRAWS, number]).integers(2**63))
        weights = joined([own[module][group] for module, group in of_group])
        found[name] = replace(weights, seed=drawn)
    return found


def _of_module(module: AbstractElastic, gradients: Gradients | None) -> dict[str, GroupWeights]:
    own = module.group_weights()
    if gradients is None:
        return own
    theirs = module.group_gradients(gradients)
    return {group: replace(weights, gradients=theirs[group]) for group, weights in own.items()}
