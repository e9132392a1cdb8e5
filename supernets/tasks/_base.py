"""The contract of a task's losses. Shapes: B batch, K outputs."""

from abc import ABC, abstractmethod
from functools import cache

from torch import Tensor

from search_spaces import Registry


class AbstractLosses(ABC):
    """What training minimises: scalars in fp32, with gradients. Plug-ins have no state."""

    @abstractmethod
    def label_loss(
        self,
        outputs_BK: Tensor,
        labels_B: Tensor,
        *,
        smoothing: float,
        weights_B: Tensor | None = None,
    ) -> Tensor:
        """Of outputs against labels; the mean over images.

        Args:
            outputs_BK: As the network gives them, in any precision.
            labels_B: int64.
            smoothing: How much of every label is spread over all of them, in [0, 1).
            weights_B: Factors of the images' losses; None for 1 each.
        """

    @abstractmethod
    def distillation_loss(self, outputs_BK: Tensor, teacher_BK: Tensor) -> Tensor:
        """Of outputs against those of a teacher, which needs no gradients."""


LOSSES = Registry("supernets.tasks", "losses of a task", AbstractLosses)


@cache
def losses_of(task: str) -> AbstractLosses:
    """The losses of a named task.

    Raises:
        UserError: If there is no such task.
    """
    found = LOSSES.get(task)()
    assert isinstance(found, AbstractLosses)
    return found
