"""What a channel contributes: how large it is, times how large the weights are that read it.

Sources: Liu et al., Network Slimming (2017), takes the scale of batch norm for the size of a
channel; where there is no batch norm it is the L1 norm of Li et al., Pruning Filters for Efficient
ConvNets (2017). Departure: both are multiplied with the L1 norm of the weights that read it.
"""

from typing import final

from torch import Tensor

from supernets.criteria._base import CRITERIA, AbstractCriterion, GroupWeights, l1


@final
@CRITERIA.register
class Magnitude(AbstractCriterion):
    """The scale, or the mean absolute weight, times the mean absolute weight that reads it."""

    def scores(self, weights: GroupWeights) -> Tensor:
        """The sum over a member's channels."""
        size = l1(weights.made_by if weights.scale is None else weights.scale)
        return weights.by_member(size * l1(weights.read_by)).sum(1)
