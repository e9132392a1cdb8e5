"""The contract of a task's losses. Shapes: B batch, K outputs."""

from abc import ABC, abstractmethod
from functools import cache

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
) -> Tensor:
    """A task's loss on labels, or on the two labels of mixed images by their shares.

    Args:
        task: Its name.
        outputs_BK: As the network gives them.
        labels: Of the images.
        smoothing: As `AbstractLosses.label_loss` takes it.
        weights_K: Of classes; None for 1 each.
    """
    losses = losses_of(task)

    def weights_of(labels_B: Tensor) -> Tensor | None:
        return None if weights_K is None else weights_K[labels_B]

    if isinstance(labels, Tensor):
        return losses.label_loss(
            outputs_BK, labels, smoothing=smoothing, weights_B=weights_of(labels)
        )
    parts = []
    for labels_B, share_B in (
        (labels.first_B, 1 - labels.share_B),
        (labels.second_B, labels.share_B),
    ):
        of_classes_B = weights_of(labels_B)
        weights_B = share_B if of_classes_B is None else share_B * of_classes_B
        parts.append(
            losses.label_loss(outputs_BK, labels_B, smoothing=smoothing, weights_B=weights_B)
        )
    return parts[0] + parts[1]
