"""Random erasing: a rectangle of some images is noise.

Source: Zhong et al., Random Erasing Data Augmentation (2017), algorithm 1, with its ranges of areas
and ratios. A rectangle that is longer than the image is cut, where theirs is drawn again. Noise is
uniform, by pixel and channel.

Shapes: B batch, C channels, H W space.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch

from search_spaces import check_ranges
from supernets.augmentations._base import AUGMENTATIONS, AbstractAugmentation, Varied
from supernets.augmentations._box import rectangles

AREAS = (0.02, 0.4)
"""Least and largest area of a rectangle, as a share of the image's."""

LONGEST_RATIO = 1 / 0.3
"""Of the sides of a rectangle."""


@final
@AUGMENTATIONS.register
@dataclass(frozen=True, kw_only=True)
class RandomErasing(AbstractAugmentation):
    """A rectangle of noise.

    Attributes:
        share: Of images in which something is erased.
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        check_ranges(self, "augmentation 'erasing'", share=(0.0, 1.0))

    def __call__(self, batch: Varied, rng: np.random.Generator) -> Varied:
        """Fills one rectangle of each of the images that are drawn."""
        images_BCHW = batch.images_BCHW
        size, _, height, width = images_BCHW.shape
        is_erased_B = rng.random(size) < self.share
        area_B = height * width * rng.uniform(*AREAS, size)
        ratio_B = np.exp(rng.uniform(-np.log(LONGEST_RATIO), np.log(LONGEST_RATIO), size))
        inside_BHW = rectangles(rng, area_B, ratio_B, (height, width))
        is_noise_BHW = torch.from_numpy(is_erased_B[:, None, None] & inside_BHW)
        generator = torch.Generator(images_BCHW.device).manual_seed(int(rng.integers(2**63)))
        noise_BCHW = torch.rand(images_BCHW.shape, generator=generator, device=images_BCHW.device)
        is_noise_BHW = is_noise_BHW.to(images_BCHW.device)
        erased_BCHW = torch.where(is_noise_BHW[:, None], noise_BCHW, images_BCHW)
        return batch._replace(images_BCHW=erased_BCHW)
