"""Gradients by which criteria rank: of the largest members, on batches that come next in training.

A pure function of weights, plan and data, so a run that is continued ranks as it would have. Every
batch is computed with another operator in every slot, as training deals them, so that all weights
have gradients.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch

from search_spaces import SearchSpace
from search_spaces.networks.stitched import PATH
from supernets._ranking import Gradients
from supernets.device import FP16
from supernets.images import Images
from supernets.methods._lessons import LARGEST
from supernets.methods._members import Members
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet

LEAST_BATCHES = 16
"""Of the plan's size; more where a slot offers more operators, each of which has a turn."""


def num_batches(space: SearchSpace) -> int:
    """How many batches see every operator of every slot, and every path."""
    columns = [c for dim in ("operator", "operation", PATH) for c in space.columns(dim)]
    offered = (space.cardinalities[column] for column in columns)
    return max([LEAST_BATCHES, *offered])


def label_gradients(
    supernet: Supernet,
    images: Images,
    batches: SupernetBatches,
    *,
    is_within: Callable[[np.ndarray], np.ndarray] | None = None,
    count: int | None = None,
) -> Iterator[Gradients]:
    """Those of the loss on labels, batch by batch; the gradients that parameters have stay.

    Args:
        supernet: In training mode: batch norm uses the batch's statistics, and no others change.
        images: To train on.
        batches: Say how the supernet is trained.
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
        count: Of batches; `num_batches` if it is None.
    """
    plan = batches.plan
    if plan.precision == FP16:  # there is no scale yet that is known to be right
        batches = replace(batches, plan=replace(plan, precision="fp32"))
    members = Members(space=supernet.space, seed=plan.seed, is_within=is_within)
    for card in range(num_batches(supernet.space) if count is None else count):
        context = batches.context(supernet, images, plan.rank_step * plan.shards + card)
        encoding = members.draw(LARGEST, card, context.rng, is_dense=True)
        with torch.enable_grad():  # whoever asks for it may rank without
            logits_BK = context.logits(encoding, context.images_BCHW)
            found = context.gradients(context.label_loss(logits_BK, context.labels_B))
        pairs = zip(context.parameters, found, strict=True)
        yield {parameter: gradient for parameter, gradient in pairs if gradient is not None}
