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

    def channel_scores(self, weights: GroupWeights) -> Tensor:
        """See `AbstractCriterion.channel_scores`."""
        scale = weights.scale
        size = l1(weights.made_by) if scale is None else scale.detach().abs()
        return size * l1(weights.read_by)
