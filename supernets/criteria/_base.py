"""The contract of a pruning criterion.

An operator says which weights make and read the members (channels or heads) of a prunable group;
a criterion says how important each member is by them.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search_spaces import Registry

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT_CRITERION = "magnitude"


@dataclass(frozen=True)
class GroupWeights:
    """Weights of one prunable group, whose members have C channels together.

    Attributes:
        made_by: (C, ...), what makes every channel.
        read_by: (C, ...), what reads it.
        scale: (C,), of the batch norm behind what makes it; None if there is none.
        num_members: Channels of a member lie beside each other.
    """

    made_by: "Tensor"
    read_by: "Tensor"
    scale: "Tensor | None"
    num_members: int


class AbstractCriterion(ABC):
    """Ranks members of a group. Plug-ins have no state."""

    @abstractmethod
    def channel_scores(self, weights: GroupWeights) -> "Tensor":
        """Importance of every channel, (C,), at least 0; 0 for one whose weights are all 0."""

    def importance(self, weights: GroupWeights) -> "Tensor":
        """Importance of every member, 1-D: the sum of its channels'."""
        scores = self.channel_scores(weights)
        return scores.reshape(weights.num_members, -1).sum(1)


CRITERIA = Registry("supernets.criteria", "criterion", AbstractCriterion)


def l1(weight: "Tensor") -> "Tensor":
    """Mean absolute value of each slice along the first axis.

    Source: Li et al., Pruning Filters for Efficient ConvNets (2017), with the mean instead of the
    sum so that matrices of different sizes can be compared.
    """
    return weight.detach().abs().flatten(1).mean(1)
