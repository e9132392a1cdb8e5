"""Handwritten digits on textured ground, 11 classes of pixels: segmentation without a download.

How an image of 32 x 32 pixels is drawn (lengths in pixels, brightness as a fraction of white):

1. The ground is 0.1 to 0.4, plus a smooth random texture of standard deviation 0.02 to 0.12.
2. One to three digits lie on it, the later ones on top: source images enlarged to squares of 10 to
   18 pixels, anywhere in the image, of brightness 0.65 to 1.
3. Gaussian noise of standard deviation 0.06 is added to every pixel.

A pixel is of a digit where that covers at least 0.35 of it, and else ground. The source digits are
dealt out to train, search and test once, so no split has ever seen a digit of another. All digits
are equally frequent in every split. No pixel is ignored.

Shape suffixes: N images, K source digits, Z digit sizes, H W pixels of the image, S S pixels of the
largest digit, G G points of the texture.
"""

from pathlib import Path
from typing import final

import numpy as np

from nas.data._base import DATA, AbstractData, DataSet, Int64Array, Request, Split, UInt8Array
from nas.data._digits import (
    ORIGIN,
    blank,
    enlarged,
    lay_on,
    one_of_each,
    source_splits,
    warn_that_data_dir_is_ignored,
)
from nas.data._masks import masks_at
from nas.data._resize import resize, resize_rule

RESOLUTION = 32
CLASSES = ("ground", *(f"digit {digit}" for digit in range(10)))
TASK = "segmentation"
NUM_TRAIN_IMAGES, NUM_SEARCH_IMAGES, NUM_TEST_IMAGES = 10_000, 1_000, 1_000

MIN_DIGIT_SIZE, MAX_DIGIT_SIZE = 10, 18
MAX_DIGITS = 3
COVERED = 0.35
GROUND, TEXTURE_STD, TEXTURE_POINTS = (0.1, 0.4), (0.02, 0.12), 8
INK = (0.65, 1.0)
NOISE_STD = 0.06
IMAGES_AT_ONCE = 500


@final
@DATA.register
class DigitScenes(AbstractData):
    """Ground and the ten digits; 10,000 / 1,000 / 1,000 images."""

    def load(self, request: Request) -> DataSet:
        """Deal out the source digits by seed, then draw each split from its own."""
        warn_that_data_dir_is_ignored("digit-scenes", request.data_dir)
        size = request.resolution or RESOLUTION
        rng = np.random.default_rng(request.seed)
        sources = source_splits(rng)
        sizes = (NUM_TRAIN_IMAGES, NUM_SEARCH_IMAGES, NUM_TEST_IMAGES)
        drawn = [draw_scenes(source, n, rng) for source, n in zip(sources, sizes, strict=True)]
        train, search, test = (
            Split(resize(split.images_NCHW, size), masks_at(split.labels_N, size))
            for split in drawn
        )
        return DataSet.of_splits(
            "digit-scenes",
            CLASSES,
            can_flip=False,  # digits are other digits, or none
            crop_padding=0,  # they are at random places already
            resize=resize_rule(RESOLUTION, size),
            train=train,
            search=search,
            test=test,
            task=TASK,
        )

    def where(self, data_dir: Path | None) -> str:
        """See `AbstractData.where`."""
        return ORIGIN


def draw_scenes(digits: Split, num_images: int, rng: np.random.Generator) -> Split:
    """Images of some digits each, and their masks.

    Args:
        digits: Source images, at least one of each of the ten digits.
        num_images: How many.
        rng: Draws.
    """
    bank_ZKSS = enlarged(digits.images_NCHW, range(MIN_DIGIT_SIZE, MAX_DIGIT_SIZE + 1))
    members = [np.flatnonzero(digits.labels_N == digit) for digit in range(10)]
    parts = [
        _draw(bank_ZKSS, members, min(IMAGES_AT_ONCE, num_images - start), rng)
        for start in range(0, num_images, IMAGES_AT_ONCE)
    ]
    images, masks = zip(*parts, strict=True)
    return Split(np.concatenate(images), np.concatenate(masks))


def _draw(
    bank_ZKSS: UInt8Array, members: list[Int64Array], num_images: int, rng: np.random.Generator
) -> tuple[UInt8Array, UInt8Array]:
    """Images (N, 1, 32, 32) and masks of the same shape, by the rule at the top of this module."""
    image_NHW = _ground(num_images, rng)
    mask_NHW = np.zeros(image_NHW.shape, np.uint8)
    counts_N = rng.integers(1, MAX_DIGITS + 1, num_images)
    for layer in range(MAX_DIGITS):
        digits_N = rng.permutation(np.arange(num_images) % 10)
        covered_NHW = _placed(bank_ZKSS, members, digits_N, rng)
        covered_NHW *= (layer < counts_N)[:, None, None]
        ink_N11 = rng.uniform(*INK, (num_images, 1, 1)).astype(np.float32)
        image_NHW += covered_NHW * (ink_N11 - image_NHW)
        numbers_NHW = np.broadcast_to(digits_N[:, None, None] + 1, mask_NHW.shape)
        is_digit_NHW = covered_NHW >= COVERED
        mask_NHW[is_digit_NHW] = numbers_NHW[is_digit_NHW]
    image_NHW += NOISE_STD * rng.standard_normal(image_NHW.shape, np.float32)
    pixels_NHW = np.rint(255 * image_NHW).clip(0, 255).astype(np.uint8)
    return pixels_NHW[:, None], mask_NHW[:, None]


def _placed(
    bank_ZKSS: UInt8Array,
    members: list[Int64Array],
    digits_N: Int64Array,
    rng: np.random.Generator,
) -> np.ndarray:
    """How much of every pixel one digit per image covers, (N, 32, 32)."""
    num_images = len(digits_N)
    sizes_N = rng.integers(MIN_DIGIT_SIZE, MAX_DIGIT_SIZE + 1, num_images)
    tops_N, lefts_N = (rng.integers(0, RESOLUTION - sizes_N + 1) for _ in range(2))
    chosen_N = one_of_each(members, digits_N, rng)
    canvas_NHW = blank(num_images, RESOLUTION, MAX_DIGIT_SIZE)
    patch_NSS = bank_ZKSS[sizes_N - MIN_DIGIT_SIZE, chosen_N].astype(np.float32) / 255
    lay_on(canvas_NHW, patch_NSS, tops_N, lefts_N)
    return canvas_NHW[:, :RESOLUTION, :RESOLUTION]


def _ground(num_images: int, rng: np.random.Generator) -> np.ndarray:
    """Textured ground, (N, 32, 32): random points, and what lies between them."""
    points_NGG = rng.standard_normal((num_images, TEXTURE_POINTS, TEXTURE_POINTS), np.float32)
    between_HG = _between(RESOLUTION, TEXTURE_POINTS)
    texture_NHW = between_HG @ points_NGG @ between_HG.T
    level_N11, std_N11 = (
        rng.uniform(*ends, (num_images, 1, 1)).astype(np.float32) for ends in (GROUND, TEXTURE_STD)
    )
    found: np.ndarray = level_N11 + std_N11 * texture_NHW
    return found


def _between(side: int, points: int) -> np.ndarray:
    """Weights (side, points) by which a side is interpolated linearly from end to end."""
    places = np.linspace(0, points - 1, side)
    apart = np.abs(places[:, None] - np.arange(points))
    return np.maximum(0, 1 - apart).astype(np.float32)
