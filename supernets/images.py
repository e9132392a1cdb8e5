"""Training images: which ones a step sees, and how they are varied.

A batch is a pure function of (step, seed), so a resumed training sees what an uninterrupted one
sees. Shapes: B batch, N images, C channels, H W space,
K classes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from search_spaces import DEFAULT_TASK
from supernets.augmentations import MixedLabels, Varied
from supernets.augmentations._base import varied


class Streamed(Protocol):
    """Images (N, C, H, W) that are decoded as they are asked for, and some of them before."""

    def batch(
        self, step: int, places_of: Callable[[int], np.ndarray], *, decoders: int
    ) -> np.ndarray:
        """Those of a step, (B, C, H, W) uint8, with so many processes that decode.

        Args:
            step: From 0.
            places_of: The places of the images of any step, (B,).
            decoders: At least 1.
        """


@dataclass(frozen=True, kw_only=True)
class Images:
    """Training images and how they may be varied.

    Attributes:
        images_NCHW: uint8; or what decodes them while training runs.
        labels_N: int64; or images or masks, uint8 of four axes, which are varied as images are.
        mean: Per channel, of pixels divided by 255.
        std: Per channel.
        can_flip: Whether a mirrored image keeps its label, or has the mirrored one where labels are
            images.
        crop_padding: Pixels by which images are shifted at most, in each direction; what comes in
            from beyond the border is the image's mirror image. 0 where labels are images.
        task: What is learnt of them.
    """

    images_NCHW: Tensor | Streamed
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
        self,
        step: int,
        batch_size: int,
        seed: int,
        *,
        is_shift_halved: bool = False,
        augment: str = "",
        repeats: int = 1,
    ) -> tuple[Tensor, Tensor | MixedLabels]:
        """Augmented, normalised images and labels of one step; each epoch is a new permutation.

        Args:
            step: From 0.
            batch_size: Images of a step.
            seed: Of everything random.
            is_shift_halved: Whether images are shifted by half of `crop_padding` at most.
            augment: What is done to them besides; see `supernets.augmentations`.
            repeats: How often an image is in the batch, each time varied in another way.

        Returns:
            Images (B, C, H, W) and labels (B,), which are mixed if images are; or labels that are
            images (B, C, I, J), uint8.
        """
        places_of = partial(self._places, batch_size=batch_size, seed=seed, repeats=repeats)
        views = self.views(step, batch_size, seed, is_shift_halved=is_shift_halved, repeats=repeats)
        chosen = torch.from_numpy(views.places_B)
        if isinstance(self.images_NCHW, Tensor):
            images_BCHW = self.images_NCHW[chosen]
        else:  # a share of the cores is this process's, and it says how many threads it has
            decoders = torch.get_num_threads()
            decoded = self.images_NCHW.batch(step, places_of, decoders=decoders)
            images_BCHW = torch.from_numpy(decoded)
        labels = self.labels_N[chosen]
        if labels.ndim > 1:
            labels = _flipped(_shifted(labels, views), views)
        batch = Varied(_shown(images_BCHW, views), labels)
        batch = varied(augment, batch, seed=seed, step=step)
        return self._standardised(batch.images_BCHW), batch.labels

    def views(
        self,
        step: int,
        batch_size: int,
        seed: int,
        *,
        is_shift_halved: bool = False,
        repeats: int = 1,
    ) -> "Views":
        """Which part of which image each one of a step is, before `augment`.

        Args:
            step: From 0.
            batch_size: As `batch` takes it, like all that follows.
            seed: Likewise.
            is_shift_halved: Likewise.
            repeats: Likewise.
        """
        places_B = self._places(step, batch_size=batch_size, seed=seed, repeats=repeats)
        shift = (self.crop_padding + 1) // 2 if is_shift_halved else self.crop_padding
        rng = np.random.default_rng([seed, 2, step])
        nothing_B = np.zeros(len(places_B), np.int64)
        rows_B, columns_B = (
            rng.integers(-shift, shift + 1, len(places_B)) if shift else nothing_B for _ in range(2)
        )
        is_flipped_B = rng.random(len(places_B)) < 0.5 if self.can_flip else nothing_B > 0
        return Views(places_B, rows_B, columns_B, is_flipped_B)

    def normalised(self, images_NCHW: Tensor) -> Tensor:
        """(x / 255 - mean) / std, float32."""
        return self._standardised(images_NCHW.float() / 255)

    def _standardised(self, images_NCHW: Tensor) -> Tensor:
        mean = torch.tensor(self.mean).reshape(1, -1, 1, 1)
        std = torch.tensor(self.std).reshape(1, -1, 1, 1)
        return (images_NCHW - mean) / std

    def _places(self, step: int, *, batch_size: int, seed: int, repeats: int) -> np.ndarray:
        """Of the images of a step, (B,); each as often as it is repeated, the last ones less.

        Source: Hoffer et al., Augment Your Batch (2020), section 3.
        """
        different = -(-batch_size // repeats)
        epoch, position = divmod(step, steps_per_epoch(len(self.labels_N), batch_size, repeats))
        order_N = order_of(len(self.labels_N), seed, epoch)
        return np.repeat(order_N[position * different : (position + 1) * different], repeats)[
            :batch_size
        ]


class Views(NamedTuple):
    """What the images of a batch show.

    Attributes:
        places_B: Of the images among all of them.
        rows_B: The row of the image that the first row shows; below 0 and beyond the last one it is
            mirrored.
        columns_B: Likewise, of columns.
        is_flipped_B: Whether what is shown is a mirror image of that.
    """

    places_B: np.ndarray
    rows_B: np.ndarray
    columns_B: np.ndarray
    is_flipped_B: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """All that decides what a step sees; the fields are what `Images.batch` takes."""

    batch_size: int
    seed: int
    is_shift_halved: bool = False
    augment: str = ""
    repeats: int = 1

    def batch(self, images: Images, step: int) -> tuple[Tensor, Tensor | MixedLabels]:
        """As `Images.batch`."""
        return images.batch(
            step,
            self.batch_size,
            self.seed,
            is_shift_halved=self.is_shift_halved,
            augment=self.augment,
            repeats=self.repeats,
        )

    def views(self, images: Images, step: int) -> Views:
        """As `Images.views`."""
        return images.views(
            step,
            self.batch_size,
            self.seed,
            is_shift_halved=self.is_shift_halved,
            repeats=self.repeats,
        )

    def steps_per_epoch(self, images: Images) -> int:
        """Batches in which no image is seen twice, but for `repeats`."""
        return steps_per_epoch(len(images.labels_N), self.batch_size, self.repeats)


def steps_per_epoch(num_images: int, batch_size: int, repeats: int) -> int:
    """Batches in an epoch; what is left of the images is passed over in it."""
    return max(1, num_images // -(-batch_size // repeats))


def mirrored(shifts_B: np.ndarray, size: int) -> Tensor:
    """Places of pixels in a row that is shifted, (B, size); beyond its ends it is mirrored."""
    places_BS = torch.from_numpy(shifts_B)[:, None] + torch.arange(size)
    last = size - 1
    return last - (last - places_BS.abs()).abs()


def _shown(images_BCHW: Tensor, views: Views) -> Tensor:
    """Shifted and flipped, float32 between 0 and 1."""
    return _flipped(_shifted(images_BCHW, views).float() / 255, views)


def _shifted(images_BCHW: Tensor, views: Views) -> Tensor:
    """With the pixels of other places, if one is shifted."""
    if not views.rows_B.any() and not views.columns_B.any():
        return images_BCHW
    batch, _, height, width = images_BCHW.shape
    rows_BH, columns_BW = mirrored(views.rows_B, height), mirrored(views.columns_B, width)
    which = torch.arange(batch)[:, None, None]
    cropped = images_BCHW[which, :, rows_BH[:, :, None], columns_BW[:, None, :]]
    return cropped.permute(0, 3, 1, 2)


def _flipped(images_BCHW: Tensor, views: Views) -> Tensor:
    """With those mirrored, in place, that are to be."""
    if views.is_flipped_B.any():
        flipped = torch.from_numpy(views.is_flipped_B)
        images_BCHW[flipped] = images_BCHW[flipped].flip(-1)
    return images_BCHW


@lru_cache(maxsize=4)
def order_of(num_images: int, seed: int, epoch: int) -> np.ndarray:
    """The images' places in an epoch. Kept, because a permutation of a million takes 0.1 s."""
    return np.random.default_rng([seed, 1, epoch]).permutation(num_images)
