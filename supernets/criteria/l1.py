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

    def scores(self, weights: GroupWeights) -> Tensor:
        """The sum over a member's channels."""
        return weights.by_member(l1(weights.made_by)).sum(1)
