"""A member's share of the squared weights of all members that are at least as large.

Source: Lee et al., Layer-Adaptive Sparsity for the Magnitude-based Pruning (2021), equation (4).
Departures: a score is that of a member, whose squared weight is the sum over all that makes it, and
not of a single weight; a layer is a group. Within one group the order is that of the L2 norm. What
the score adds is that members of different groups can be compared, and here every group has a
sparsity of its own, which the search decides.
"""

from typing import final

import torch
from torch import Tensor

from supernets.criteria._base import CRITERIA, AbstractCriterion, GroupWeights


@final
@CRITERIA.register
class LayerAdaptive(AbstractCriterion):
    """Members of small squared weights go first; the largest of a group has 1."""

    def scores(self, weights: GroupWeights) -> Tensor:
        """In [0, 1]."""
        squares = weights.by_member(weights.made_by).square().sum(1)
        ascending, place = squares.sort()
        not_smaller = ascending.flip(0).cumsum(0).flip(0)
        first_equal = torch.searchsorted(ascending, ascending)
        shares = ascending / not_smaller[first_equal].clamp(min=torch.finfo(squares.dtype).tiny)
        return torch.empty_like(shares).scatter_(0, place, shares)
