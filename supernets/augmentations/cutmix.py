"""CutMix: a box of every image is that of another one, and so is this share of its label.

Source: Yun et al., CutMix (2019), sections 3.1 and 3.2. Every image of a batch has a box of its
own, where theirs has one for all, and the share of the label is that of the pixels that were pasted
after the box was cut at the borders, as in the authors' code.

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
from supernets.augmentations._box import boxes


@final
@AUGMENTATIONS.register
@dataclass(frozen=True, kw_only=True)
class CutMix(AbstractAugmentation):
    """A box from another image.

    Attributes:
        alpha: Of Beta(alpha, alpha), from which the share of the pixels that stay is drawn.
        share: Of batches that are mixed.
    """

    mixes: ClassVar[bool] = True

    alpha: float = 1.0
    share: float = 1.0

    def __post_init__(self) -> None:
        check_ranges(self, "augmentation 'cutmix'", alpha=(1e-3, 1e3), share=(0.0, 1.0))

    def __call__(self, batch: Varied, rng: np.random.Generator) -> Varied:
        """Pastes boxes whose sides are those of the image times the root of the share pasted."""
        images_BCHW, labels_B = batch
        assert isinstance(labels_B, Tensor)
        if rng.random() >= self.share:
            return batch
        size, _, height, width = images_BCHW.shape
        side_B = np.sqrt(1 - rng.beta(self.alpha, self.alpha, size))
        is_pasted_BHW = torch.from_numpy(boxes(rng, side_B, (height, width)))
        is_pasted_BHW = is_pasted_BHW.to(images_BCHW.device)
        other_B = torch.from_numpy(rng.permutation(size)).to(images_BCHW.device)
        mixed_BCHW = torch.where(is_pasted_BHW[:, None], images_BCHW[other_B], images_BCHW)
        share_B = is_pasted_BHW.float().mean((1, 2))
        return Varied(mixed_BCHW, MixedLabels(labels_B, labels_B[other_B], share_B))
