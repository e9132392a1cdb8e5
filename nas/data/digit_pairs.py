"""Two handwritten digits in one 32 pixel image, 100 classes: the data that needs no download.

Harder than `digits`, so that networks of different size differ by tens of points, and as quick to
get: the images are drawn, from scikit-learn's digits, in about a second.

How an image is drawn (lengths in pixels, brightness as a fraction of white):

1. Each of its two digits is a source image enlarged to a square of 11 to 15 pixels.
2. The squares stand side by side without overlap; what is left of the width is shared out at
   random, and each is up to 4 pixels above or below the middle.
3. The background is 0 to 0.15, each digit's ink 0.6 to 0.85 above it.
4. Gaussian noise of standard deviation 0.1 is added to every pixel.

The source digits are dealt out to train, search and test once, so no split has ever seen a digit
of another. All classes are equally frequent in every split.

Shape suffixes: N images, K source digits, Z digit sizes, H W pixels of the image, S S pixels of the
largest digit, 2 the left and the right digit.
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
from nas.data._resize import resize, resize_rule
from search_spaces import Resolution

RESOLUTION = 32
CLASSES = tuple(f"{label:02d}" for label in range(100))
NUM_TRAIN_IMAGES, NUM_SEARCH_IMAGES, NUM_TEST_IMAGES = 20_000, 2_000, 2_000

MIN_DIGIT_SIZE, MAX_DIGIT_SIZE = 11, 15
MAX_VERTICAL_SHIFT = 4
BACKGROUND = (0.0, 0.15)
INK = (0.6, 0.85)
NOISE_STD = 0.1
IMAGES_AT_ONCE = 500


@final
@DATA.register
class DigitPairs(AbstractData):
    """Classes "00" to "99", read from left to right; 20,000 / 2,000 / 2,000 images."""

    def load(self, request: Request) -> DataSet:
        """Deal out the source digits by seed, then draw each split from its own."""
        warn_that_data_dir_is_ignored("digit-pairs", request.data_dir)
        size = request.resolution or RESOLUTION
        rng = np.random.default_rng(request.seed)
        sources = source_splits(rng)
        sizes = (NUM_TRAIN_IMAGES, NUM_SEARCH_IMAGES, NUM_TEST_IMAGES)
        train, search, test = (
            _resized(draw_pairs(digits, num_images, rng), size)
            for digits, num_images in zip(sources, sizes, strict=True)
        )
        return DataSet.of_splits(
            "digit-pairs",
            CLASSES,
            can_flip=False,
            # NOTE: the digits are at random places already, and padding has no noise. Shifts of 2
            # pixels cost a small convolutional net 5 points on search in 400 steps of 64 images.
            crop_padding=0,
            resize=resize_rule(RESOLUTION, size),
            train=train,
            search=search,
            test=test,
        )

    def where(self, data_dir: Path | None) -> str:
        """See `AbstractData.where`."""
        return ORIGIN


def draw_pairs(digits: Split, num_images: int, rng: np.random.Generator) -> Split:
    """Images of two digits each.

    Args:
        digits: Source images, at least one of each of the ten digits.
        num_images: Classes are equally frequent if it is a multiple of 100.

    Returns:
        A split in stratified order.
    """
    labels_N = np.arange(num_images, dtype=np.int64) % len(CLASSES)
    labels_N = labels_N[rng.permutation(num_images)]
    bank_ZKSS = enlarged(digits.images_NCHW, range(MIN_DIGIT_SIZE, MAX_DIGIT_SIZE + 1))
    members = [np.flatnonzero(digits.labels_N == digit) for digit in range(10)]
    images_NCHW = np.concatenate(
        [
            _draw(bank_ZKSS, members, labels_N[start : start + IMAGES_AT_ONCE], rng)
            for start in range(0, num_images, IMAGES_AT_ONCE)
        ]
    )
    return Split(images_NCHW, labels_N).stratified(rng)


def _draw(
    bank_ZKSS: UInt8Array,
    members: list[Int64Array],
    labels_N: Int64Array,
    rng: np.random.Generator,
) -> UInt8Array:
    """One image (1, 32, 32) per label, by the rule at the top of this module."""
    num_images = len(labels_N)
    sizes_N2 = rng.integers(MIN_DIGIT_SIZE, MAX_DIGIT_SIZE + 1, (num_images, 2))
    gap_N = RESOLUTION - sizes_N2.sum(axis=1)
    lefts_N2 = np.sort(rng.integers(0, gap_N[:, None] + 1, (num_images, 2)), axis=1)
    lefts_N2[:, 1] += sizes_N2[:, 0]
    shifts_N2 = rng.integers(-MAX_VERTICAL_SHIFT, MAX_VERTICAL_SHIFT + 1, (num_images, 2))
    tops_N2 = (RESOLUTION - sizes_N2) // 2 + shifts_N2
    ink_N2 = rng.uniform(*INK, (num_images, 2)).astype(np.float32)
    canvas_NHW = blank(num_images, RESOLUTION, MAX_DIGIT_SIZE)
    for place, digits_N in enumerate((labels_N // 10, labels_N % 10)):
        chosen_N = one_of_each(members, digits_N, rng)
        patch_NSS = bank_ZKSS[sizes_N2[:, place] - MIN_DIGIT_SIZE, chosen_N].astype(np.float32)
        inked_NSS = patch_NSS * ink_N2[:, place, None, None]
        lay_on(canvas_NHW, inked_NSS, tops_N2[:, place], lefts_N2[:, place])
    image_NHW = rng.standard_normal((num_images, RESOLUTION, RESOLUTION), np.float32)
    image_NHW *= 255 * NOISE_STD
    image_NHW += canvas_NHW[:, :RESOLUTION, :RESOLUTION]
    image_NHW += 255 * rng.uniform(*BACKGROUND, (num_images, 1, 1)).astype(np.float32)
    return np.rint(image_NHW).clip(0, 255).astype(np.uint8)[:, None]


def _resized(split: Split, resolution: Resolution) -> Split:
    return Split(resize(split.images_NCHW, resolution), split.labels_N)
