"""Losses of classification. Shapes: B batch, K classes."""

from typing import final

from torch import Tensor
from torch.nn import functional as F

from supernets.tasks._base import LOSSES, AbstractLosses


@final
@LOSSES.register
class CrossEntropy(AbstractLosses):
    """Cross entropy with labels, or with a teacher's softmax."""

    def label_loss(
        self,
        outputs_BK: Tensor,
        labels_B: Tensor,
        *,
        smoothing: float,
        weights_B: Tensor | None = None,
    ) -> Tensor:
        """With label smoothing.

        NOTE: torch's `weight` would divide by the weights of the batch's own labels.
        """
        if weights_B is None:
            return F.cross_entropy(outputs_BK.float(), labels_B, label_smoothing=smoothing)
        losses_B = F.cross_entropy(
            outputs_BK.float(), labels_B, label_smoothing=smoothing, reduction="none"
        )
        return (losses_B * weights_B).mean()

    def distillation_loss(self, outputs_BK: Tensor, teacher_BK: Tensor) -> Tensor:
        """Against the teacher's softmax at temperature 1.

        Source: Hinton et al., Distilling the Knowledge in a Neural Network (2015).
        """
        return F.cross_entropy(outputs_BK.float(), teacher_BK.float().softmax(-1))
