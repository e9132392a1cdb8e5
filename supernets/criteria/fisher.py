"""What the loss would change without a member, to second order.

Sources: LeCun et al., Optimal Brain Damage (1990), section 2: half of the sum of second derivative
times squared parameter, with a diagonal Hessian and a gradient that is zero after training. Theis
et al., Faster gaze prediction with dense networks and Fisher pruning (2018), section 2.2, put the
squared gradient, its Fisher information, in the place of the second derivative. Departures: the sum
is over all weights that make or read a member, and the squared gradients are those of batches, not
of single images.
"""

from typing import ClassVar, final

from torch import Tensor

from supernets.criteria._base import CRITERIA, AbstractCriterion, GroupWeights


@final
@CRITERIA.register
class Fisher(AbstractCriterion):
    """Members whose weights lie in flat directions of the loss go first."""

    needs_gradients: ClassVar[bool] = True

    def scores(self, weights: GroupWeights) -> Tensor:
        """Of one batch: half of the sum of squared gradients times squared weights."""
        gradients = weights.gradients
        assert gradients is not None
        sides = ((weights.made_by, gradients.made_by), (weights.read_by, gradients.read_by))
        squares = (weights.by_member((w.detach() * g).square()).sum(1) for w, g in sides)
        total = sum(squares)
        assert isinstance(total, Tensor)
        return total / 2
