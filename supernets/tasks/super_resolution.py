"""Losses of super-resolution: absolute errors, in shares of white.

Source: Zhao et al., Loss Functions for Image Restoration with Neural Networks (2017): networks that
learn by absolute errors have a higher PSNR than those that learn by squares. Shapes: B batch, C
channels, H W pixels.
"""

from typing import final

from torch import Tensor

from search_spaces.tasks._images import WHITE
from supernets.tasks._base import LOSSES, AbstractLosses


@final
@LOSSES.register
class AbsoluteError(AbstractLosses):
    """Of every pixel, from the image or from a teacher's answer; images have no smoothing."""

    def label_loss(
        self,
        outputs_BK: Tensor,
        labels_B: Tensor,
        *,
        smoothing: float,
        weights_B: Tensor | None = None,
    ) -> Tensor:
        """From images of uint8."""
        errors_B = (outputs_BK.float() - labels_B.float() / WHITE).abs().mean((1, 2, 3))
        return (errors_B if weights_B is None else errors_B * weights_B).mean()

    def distillation_loss(self, outputs_BK: Tensor, teacher_BK: Tensor) -> Tensor:
        """From the teacher's images."""
        return (outputs_BK.float() - teacher_BK.float()).abs().mean()
