"""Scores of every place of a map: what the network's output is the mean of.

The head has a layer norm between pool and classifier, which is no linear function. With the mean
and the deviation of the whole image it is one, so a score of a place is what the classifier says of
the place by them.

Shapes: B batch, C channels, h w places of maps, K classes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from search_spaces import UserError
from supernets.trunk.head import PlainHead
from supernets.trunk.pooled import PlainPooled


def score_maps(network: nn.Module, images_BCHW: Tensor) -> Tensor:
    """Scores of every place, (B, K, h, w), whose mean over places is the network's output.

    Raises:
        UserError: If the network's head is not one that pools before a norm and a classifier.
    """
    with recorded_pool(network) as maps:
        network(images_BCHW)
    return scores_of(network, maps[0])


@contextmanager
def recorded_pool(network: nn.Module) -> Iterator[list[Tensor]]:
    """In this context the maps (B, C, h, w) that the network's head pools are kept.

    Raises:
        UserError: As `score_maps`.
    """
    maps: list[Tensor] = []
    hook = head_of(network).pool.register_forward_pre_hook(lambda pool, read: maps.append(read[0]))
    try:
        yield maps
    finally:
        hook.remove()


def scores_of(network: nn.Module, map_BChw: Tensor) -> Tensor:
    """Scores of the places of a map that the network's head pools, (B, K, h, w)."""
    head, x_BChw = head_of(network), map_BChw.float()
    norm, classifier = head.norm, head.classifier
    pooled_BC = x_BChw.mean((2, 3))
    mean_B = pooled_BC.mean(1)
    deviation_B = (pooled_BC.var(1, correction=0) + norm.eps).sqrt()
    x_BChw = (x_BChw - mean_B[:, None, None, None]) / deviation_B[:, None, None, None]
    scores_BKhw = torch.einsum("kc,bchw->bkhw", classifier.weight * norm.weight, x_BChw)
    bias_K = classifier.bias + classifier.weight @ norm.bias
    return scores_BKhw + bias_K[:, None, None]


def head_of(network: nn.Module) -> PlainHead | PlainPooled:
    """The head of a network.

    Raises:
        UserError: As `score_maps`.
    """
    for module in network.modules():
        if isinstance(module, PlainHead | PlainPooled):
            return module
    raise UserError(
        "scores of places are asked for, of a network whose head does not pool a map, normalise it "
        "and classify it, as heads 'head' and 'pooled' do. Name networks of a space with such a "
        "head, or take --set stored=variants in place of regions."
    )
