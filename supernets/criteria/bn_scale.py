"""The scale of batch norm.

Source: Liu et al., Learning Efficient Convolutional Networks through Network Slimming (2017),
section 3. Departures: training adds no penalty on scales; heads and channels without batch norm
have the L1 norm of what makes them, and channels with several batch norms the mean of their scales.
"""

from typing import final

from torch import Tensor

from supernets.criteria._base import CRITERIA, AbstractCriterion, GroupWeights, l1


@final
@CRITERIA.register
class BatchNormScale(AbstractCriterion):
    """Channels of small scales go first."""

    def scores(self, weights: GroupWeights) -> Tensor:
        """The sum over a member's channels."""
        size = l1(weights.made_by if weights.scale is None else weights.scale)
        return weights.by_member(size).sum(1)
