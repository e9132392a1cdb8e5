"""Mixup: every image is a weighted mean of two, and so is its label.

Source: Zhang et al., mixup: Beyond Empirical Risk Minimization (2018), eq. (1) and section 3. Every
image of a batch has a weight of its own, where theirs has one for all.

Shapes: B batch, C channels, H W space.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from search_spaces import check_ranges
from supernets.augmentations._base import (
    AUGMENTATIONS,
    AbstractAugmentation,
    MixedLabels,
    Varied,
)


@final
@AUGMENTATIONS.register
@dataclass(frozen=True, kw_only=True)
class Mixup(AbstractAugmentation):
    """Means of two images.

    Attributes:
        alpha: Of Beta(alpha, alpha), from which weights are drawn.
    """

    mixes: ClassVar[bool] = True

    alpha: float = 0.2

    def __post_init__(self) -> None:
        check_ranges(self, "augmentation 'mixup'", alpha=(1e-3, 1e3))

    def __call__(self, batch: Varied, rng: np.random.Generator) -> Varied:
        """Mixes every image with another one."""
        images_BCHW, labels_B = batch
        assert isinstance(labels_B, Tensor)
        device, size = images_BCHW.device, len(images_BCHW)
        share_B = torch.from_numpy(rng.beta(self.alpha, self.alpha, size)).float().to(device)
        other_B = torch.from_numpy(rng.permutation(size)).to(device)
        mixed_BCHW = images_BCHW.lerp(images_BCHW[other_B], share_B[:, None, None, None])
        return Varied(mixed_BCHW, MixedLabels(labels_B, labels_B[other_B], share_B))
