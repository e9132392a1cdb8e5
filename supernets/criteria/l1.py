"""The L1 norm of what makes a channel.

Source: Li et al., Pruning Filters for Efficient ConvNets (2017), section 3.1.
"""

from typing import final

from torch import Tensor

from supernets.criteria._base import CRITERIA, AbstractCriterion, GroupWeights, l1


@final
@CRITERIA.register
class L1(AbstractCriterion):
    """Filters of small weights go first."""

    def channel_scores(self, weights: GroupWeights) -> Tensor:
        """See `AbstractCriterion.channel_scores`."""
        return l1(weights.made_by)
