"""Training images: which ones a step sees, and how they are varied.

A batch is a pure function of (step, seed), so a resumed training sees what an uninterrupted one
sees. Shapes: B batch, N images, C channels, H W space,
K classes.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from search_spaces import DEFAULT_TASK


@dataclass(frozen=True, kw_only=True)
class Images:
    """Training images and how they may be varied.

    Attributes:
        images_NCHW: uint8.
        labels_N: int64.
        mean: Per channel, of pixels divided by 255.
        std: Per channel.
        can_flip: Whether a mirrored image keeps its label.
        crop_padding: Pixels by which images are shifted at most, in each direction; what comes in
            from beyond the border is the image's mirror image.
        task: What is learnt of them.
    """

    images_NCHW: Tensor
    labels_N: Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]
    can_flip: bool
    crop_padding: int
    task: str = DEFAULT_TASK

    @cached_property
    def balancing_K(self) -> Tensor:
        """A weight for each class that makes all of them count alike: inversely proportional to its
        images, and 1 on average over images.
        """
        counts_K = torch.bincount(self.labels_N)
        num_present = int((counts_K > 0).sum())
        return len(self.labels_N) / (num_present * counts_K.clamp(min=1)).float()

    def batch(
        self, step: int, batch_size: int, seed: int, *, is_shift_halved: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Augmented, normalised images and labels of one step; each epoch is a new permutation.

        Args:
            step: From 0.
            batch_size: Images of a step.
            seed: Of everything random.
            is_shift_halved: Whether images are shifted by half of `crop_padding` at most.
        """
        per_epoch = max(1, len(self.labels_N) // batch_size)
        epoch, position = divmod(step, per_epoch)
        order_N = _order(len(self.labels_N), seed, epoch)
        chosen = torch.from_numpy(order_N[position * batch_size : (position + 1) * batch_size])
        rng = np.random.default_rng([seed, 2, step])
        shift = (self.crop_padding + 1) // 2 if is_shift_halved else self.crop_padding
        return self._augmented(self.images_NCHW[chosen], shift, rng), self.labels_N[chosen]

    def normalised(self, images_NCHW: Tensor) -> Tensor:
        """(x / 255 - mean) / std, float32."""
        mean = torch.tensor(self.mean).reshape(1, -1, 1, 1)
        std = torch.tensor(self.std).reshape(1, -1, 1, 1)
        return (images_NCHW.float() / 255 - mean) / std

    def _augmented(self, images_BCHW: Tensor, shift: int, rng: np.random.Generator) -> Tensor:
        batch, _, height, width = images_BCHW.shape
        if shift:
            rows_BH = _shifted(rng.integers(-shift, shift + 1, batch), height)
            columns_BW = _shifted(rng.integers(-shift, shift + 1, batch), width)
            which = torch.arange(batch)[:, None, None]
            cropped = images_BCHW[which, :, rows_BH[:, :, None], columns_BW[:, None, :]]
            images_BCHW = cropped.permute(0, 3, 1, 2)
        images_BCHW = self.normalised(images_BCHW)
        if self.can_flip:
            flipped = torch.from_numpy(rng.random(batch) < 0.5)
            images_BCHW[flipped] = images_BCHW[flipped].flip(-1)
        return images_BCHW


def _shifted(shifts_B: np.ndarray, size: int) -> Tensor:
    """Places of pixels in a row that is shifted, (B, size); beyond its ends it is mirrored."""
    places_BS = torch.from_numpy(shifts_B)[:, None] + torch.arange(size)
    last = size - 1
    return last - (last - places_BS.abs()).abs()


@lru_cache(maxsize=4)
def _order(num_images: int, seed: int, epoch: int) -> np.ndarray:
    """The images' places in an epoch. Kept, because a permutation of a million takes 0.1 s."""
    return np.random.default_rng([seed, 1, epoch]).permutation(num_images)
