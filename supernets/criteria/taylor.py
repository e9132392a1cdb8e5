"""What the loss would change without a member, to first order.

Source: Molchanov et al., Importance Estimation for Neural Network Pruning (2019), section 3.2: the
square of the sum of gradient times parameter, of a gate behind the batch norm, averaged over
batches. Departures: the gate stands where the member is read, so that its parameters are all
weights that read it, in all layers that do; importance is that of weights as they are when members
are ranked, and no moving average over training.
"""

from typing import ClassVar, final

from torch import Tensor

from supernets.criteria._base import CRITERIA, AbstractCriterion, GroupWeights


@final
@CRITERIA.register
class Taylor(AbstractCriterion):
    """Members that a batch's loss is least sensitive to go first."""

    needs_gradients: ClassVar[bool] = True

    def scores(self, weights: GroupWeights) -> Tensor:
        """Of one batch: the squared derivative of the loss by a gate on the member."""
        assert weights.gradients is not None
        product = weights.read_by.detach() * weights.gradients.read_by
        return weights.by_member(product).sum(1).square()
