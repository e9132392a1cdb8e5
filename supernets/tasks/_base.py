"""The contract of a task's losses. Shapes: B batch, K outputs."""

from abc import ABC, abstractmethod
from functools import cache, reduce
from operator import mul

from torch import Tensor

from search_spaces import Registry
from supernets.augmentations import MixedLabels


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
            labels_B: int64; or images, uint8.
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


def loss_on(
    task: str,
    outputs_BK: Tensor,
    labels: Tensor | MixedLabels,
    *,
    smoothing: float,
    weights_K: Tensor | None = None,
    weights_B: Tensor | None = None,
) -> Tensor:
    """A task's loss on labels, or on the two labels of mixed images by their shares.

    Args:
        task: Its name.
        outputs_BK: As the network gives them.
        labels: Of the images.
        smoothing: As `AbstractLosses.label_loss` takes it.
        weights_K: Of classes; None for 1 each.
        weights_B: Of images; None for 1 each.
    """
    losses = losses_of(task)

    def loss(labels_B: Tensor, share_B: Tensor | None = None) -> Tensor:
        of_classes_B = None if weights_K is None else weights_K[labels_B]
        factors_B = _product(share_B, of_classes_B, weights_B)
        return losses.label_loss(outputs_BK, labels_B, smoothing=smoothing, weights_B=factors_B)

    if isinstance(labels, Tensor):
        return loss(labels)
    return loss(labels.first_B, 1 - labels.share_B) + loss(labels.second_B, labels.share_B)


def _product(*factors_B: Tensor | None) -> Tensor | None:
    """Of those that there are; None of none."""
    known = [factor_B for factor_B in factors_B if factor_B is not None]
    return reduce(mul, known) if known else None
