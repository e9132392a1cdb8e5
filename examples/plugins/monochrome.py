"""An augmentation: some images lose their colours; of grey ones, light and dark change places.

Source: Chen et al., A Simple Framework for Contrastive Learning of Visual Representations (2020),
appendix A, which drops colours of a fifth of the images; grey images are ours.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch

from search_spaces import check_ranges
from supernets.augmentations import AUGMENTATIONS, AbstractAugmentation, Varied


@final
@AUGMENTATIONS.register
@dataclass(frozen=True, kw_only=True)
class Monochrome(AbstractAugmentation):
    """Images without colours.

    Attributes:
        share: Of the images.
    """

    share: float = 0.2

    def __post_init__(self) -> None:
        check_ranges(self, "augmentation 'monochrome'", share=(0.0, 1.0))

    def __call__(self, batch: Varied, rng: np.random.Generator) -> Varied:
        images_BCHW = batch.images_BCHW
        is_changed_B = torch.from_numpy(rng.random(len(images_BCHW)) < self.share)
        is_changed_B = is_changed_B.to(images_BCHW.device)[:, None, None, None]
        is_grey = images_BCHW.shape[1] == 1
        other = 1 - images_BCHW if is_grey else images_BCHW.mean(1, True).expand_as(images_BCHW)
        return batch._replace(images_BCHW=torch.where(is_changed_B, other, images_BCHW))
