"""Losses of segmentation: cross-entropy at every pixel that is not ignored.

Shapes: B batch, K classes, H W pixels.
"""

from typing import final

from torch import Tensor
from torch.nn import functional as F

from search_spaces.tasks._masks import IGNORED
from supernets.tasks._base import LOSSES, AbstractLosses


@final
@LOSSES.register
class PixelCrossEntropy(AbstractLosses):
    """With the classes of pixels, or with a teacher's softmax at each of them."""

    def label_loss(
        self,
        outputs_BK: Tensor,
        labels_B: Tensor,
        *,
        smoothing: float,
        weights_B: Tensor | None = None,
    ) -> Tensor:
        """The mean over images of the means over their pixels, from masks (B, 1, H, W) of uint8.

        NOTE: torch's own mean would be that of all pixels, of which images have different numbers.
        """
        labels_BHW = labels_B[:, 0].long()
        losses_BHW = F.cross_entropy(
            outputs_BK.float(),
            labels_BHW,
            ignore_index=IGNORED,
            label_smoothing=smoothing,
            reduction="none",
        )
        known_B = (labels_BHW != IGNORED).sum((1, 2)).clamp(min=1)
        losses_B = losses_BHW.sum((1, 2)) / known_B
        return (losses_B if weights_B is None else losses_B * weights_B).mean()

    def distillation_loss(self, outputs_BK: Tensor, teacher_BK: Tensor) -> Tensor:
        """Against the teacher's softmax at temperature 1, at every pixel: it has an answer where
        the mask has none.
        """
        return F.cross_entropy(outputs_BK.float(), teacher_BK.float().softmax(1))
