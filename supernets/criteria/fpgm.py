"""How far a member is from all others: those that are nearest to them can be replaced by them.

Source: He et al., Filter Pruning via Geometric Median for Deep Neural Networks Acceleration (2019),
section 3.3: of a layer's filters those go that are nearest to the geometric median, which are those
with the smallest sum of distances to all filters. Departures: a filter is all that makes a member,
in all layers that make it; members whose weights are all zero go first, however far they are.
"""

from typing import final

import torch
from torch import Tensor

from supernets.criteria._base import CRITERIA, AbstractCriterion, GroupWeights


@final
@CRITERIA.register
class GeometricMedian(AbstractCriterion):
    """Members that others resemble go first, whether they are large or small."""

    def scores(self, weights: GroupWeights) -> Tensor:
        """The sum of Euclidean distances to all members."""
        rows = weights.by_member(weights.made_by)
        return torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").sum(1)
