"""Chance: the baseline that a criterion must beat to be of use.

Source: Liu et al., The Unreasonable Effectiveness of Random Pruning (2022). Departures: members go
and not single weights, and how many of each group is the search's decision.
"""

from typing import ClassVar, final

import torch
from torch import Tensor

from supernets.criteria._base import CRITERIA, AbstractCriterion, GroupWeights


@final
@CRITERIA.register
class Random(AbstractCriterion):
    """All orders of members are equally likely."""

    is_drawn: ClassVar[bool] = True

    def scores(self, weights: GroupWeights) -> Tensor:
        """Uniform in [0, 1), from the group's seed."""
        generator = torch.Generator().manual_seed(weights.seed)
        return torch.rand(weights.num_members, generator=generator).to(weights.made_by.device)
