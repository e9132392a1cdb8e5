"""The contract of a pruning criterion.

An operator says which weights make and read the members (channels or heads) of a prunable group;
a criterion says how important each member is by them, and by their gradients if it needs them.

Shapes: M members, C channels, C / M of each.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

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
        scale: (C, ...), of the batch norms behind what makes it; None if there is none.
        num_members: Channels of a member lie beside each other.
        gradients: Of these weights, for the loss of one batch; None for criteria that need none.
        seed: Of what a criterion draws; every group has its own.
    """

    made_by: "Tensor"
    read_by: "Tensor"
    scale: "Tensor | None"
    num_members: int
    gradients: "GroupWeights | None" = None
    seed: int = 0

    def by_member(self, values: "Tensor") -> "Tensor":
        """Values of channels, (C, ...), as a row per member, (M, values)."""
        return values.detach().reshape(self.num_members, values.numel() // self.num_members)


class AbstractCriterion(ABC):
    """Ranks members of a group. Plug-ins have no state."""

    needs_gradients: ClassVar[bool] = False
    """Whether it reads `GroupWeights.gradients`. Its importances are then the sum over batches."""

    is_drawn: ClassVar[bool] = False
    """Whether chance decides, and not the weights: a baseline."""

    @abstractmethod
    def scores(self, weights: GroupWeights) -> "Tensor":
        """How important every member is, (M,): finite, at least 0."""

    def importance(self, weights: GroupWeights) -> "Tensor":
        """The scores, (M,), but 0 for members whose weights are all 0: nobody would miss them."""
        made_M = weights.by_member(weights.made_by).abs().sum(1)
        read_M = weights.by_member(weights.read_by).abs().sum(1)
        return self.scores(weights) * (made_M + read_M > 0)


CRITERIA = Registry("supernets.criteria", "criterion", AbstractCriterion)


def l1(weight: "Tensor") -> "Tensor":
    """Mean absolute value of each slice along the first axis; 0 of nothing.

    Source: Li et al., Pruning Filters for Efficient ConvNets (2017), with the mean instead of the
    sum so that matrices of different sizes can be compared.
    """
    rows = _rows(weight.detach().abs())
    return rows.sum(1) / max(1, rows.shape[1])


def joined(several: Sequence[GroupWeights]) -> GroupWeights:
    """The weights of a group whose members are made and read in several places.

    Args:
        several: One per place, with equal numbers of members and of channels; all with gradients or
            none.
    """
    if len(several) == 1:
        return several[0]
    scales = [weights.scale for weights in several if weights.scale is not None]
    gradients = [weights.gradients for weights in several if weights.gradients is not None]
    return GroupWeights(
        made_by=_side_by_side([weights.made_by for weights in several]),
        read_by=_side_by_side([weights.read_by for weights in several]),
        scale=_side_by_side(scales) if scales else None,
        num_members=several[0].num_members,
        gradients=joined(gradients) if gradients else None,
    )


def _side_by_side(tensors: "Sequence[Tensor]") -> "Tensor":
    import torch  # the names of criteria are known without it

    return torch.cat([_rows(tensor) for tensor in tensors], 1)


def _rows(tensor: "Tensor") -> "Tensor":
    return tensor.reshape(len(tensor), tensor.numel() // len(tensor))
