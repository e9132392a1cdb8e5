"""The scale of batch norm.

Source: Liu et al., Learning Efficient Convolutional Networks through Network Slimming (2017),
section 3. Departures: training adds no penalty on scales; heads and channels without batch norm
have the L1 norm of what makes them.
"""

from typing import final

from torch import Tensor

from supernets.criteria._base import CRITERIA, AbstractCriterion, GroupWeights, l1


@final
@CRITERIA.register
class BatchNormScale(AbstractCriterion):
    """Channels of small scales go first."""

    def channel_scores(self, weights: GroupWeights) -> Tensor:
        """See `AbstractCriterion.channel_scores`."""
        return l1(weights.made_by) if weights.scale is None else weights.scale.detach().abs()
