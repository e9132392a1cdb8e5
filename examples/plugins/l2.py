"""A pruning criterion: the L2 norm of what makes a channel.

Source: He et al., Soft Filter Pruning for Accelerating Deep Convolutional Neural Networks (2018),
section 3.2. Departure: the norm is divided by the root of the number of weights, so that matrices
of different sizes can be compared.
"""

from typing import final

from torch import Tensor

from supernets.criteria import CRITERIA, AbstractCriterion, GroupWeights


@final
@CRITERIA.register
class L2(AbstractCriterion):
    """Root mean square of a channel's weights; of a head, the sum over its channels."""

    def scores(self, weights: GroupWeights) -> Tensor:
        size = weights.made_by.flatten(1).square().mean(1).sqrt()
        return weights.by_member(size).sum(1)
