"""The handwritten digits that come with scikit-learn: source of `digits`, `digit-pairs` and
`digit-scenes`.

1,797 grey images of 8 x 8 pixels with values 0 to 16, about 180 of each digit, no two equal.

Shape suffixes: N images, K source digits, Z sizes, S S pixels of the largest one.

Source: Alpaydin, Kaynak, Optical Recognition of Handwritten Digits (1998), UCI repository.
"""

import logging
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nas.data._base import Int64Array, Split, UInt8Array
from nas.data._resize import resize

FILE = "datasets/data/digits.csv.gz"
"""In the folder of scikit-learn, whose import takes a second and more: 64 pixels and the digit."""

SOURCE_RESOLUTION = 8
SEARCH_SHARE = 0.2
TEST_SHARE = 0.2
ORIGIN = "comes with scikit-learn"

_log = logging.getLogger(__name__)


def source_digits() -> Split:
    """All of them, 8 x 8 pixels, values stretched from 0..16 to 0..255, in scikit-learn's order."""
    found = find_spec("sklearn")
    assert found is not None
    assert found.origin is not None
    rows = np.loadtxt(Path(found.origin).parent / FILE, delimiter=",")
    images_N1HW = rows[:, :-1].reshape(-1, 1, SOURCE_RESOLUTION, SOURCE_RESOLUTION)
    images_NCHW: UInt8Array = np.rint(images_N1HW * (255 / 16)).astype(np.uint8)
    labels_N: Int64Array = rows[:, -1].astype(np.int64)
    return Split(images_NCHW, labels_N)


def source_splits(rng: np.random.Generator) -> tuple[Split, Split, Split]:
    """The digits dealt out once: train (60 %), search (20 %) and test (20 %), stratified."""
    digits = source_digits().stratified(rng)
    num_search = round(SEARCH_SHARE * len(digits))
    num_test = round(TEST_SHARE * len(digits))
    search = digits.between(0, num_search)
    test = digits.between(num_search, num_search + num_test)
    train = digits.between(num_search + num_test, None)
    return train, search, test


def enlarged(images_KCHW: UInt8Array, sizes: Sequence[int]) -> UInt8Array:
    """Every source digit at every size, each in the top left corner of the largest square.

    Args:
        images_KCHW: Source images.
        sizes: Sides in pixels, the largest last.

    Returns:
        (Z, K, S, S) of Z sizes, the largest of which is S.
    """
    largest = sizes[-1]
    bank = np.zeros((len(sizes), len(images_KCHW), largest, largest), np.uint8)
    for index, size in enumerate(sizes):
        bank[index, :, :size, :size] = resize(images_KCHW, size)[:, 0]
    return bank


def one_of_each(
    members: Sequence[Int64Array], digits_N: Int64Array, rng: np.random.Generator
) -> Int64Array:
    """For each wanted digit, the index of one of its source images, all equally likely.

    Args:
        members: By digit, the indices of its source images.
        digits_N: Which are wanted.
        rng: Draws.
    """
    chosen_N = np.empty_like(digits_N)
    for digit, indices in enumerate(members):
        (wanted,) = np.nonzero(digits_N == digit)
        chosen_N[wanted] = rng.choice(indices, len(wanted))
    return chosen_N


def blank(num_images: int, side: int, largest: int) -> np.ndarray:
    """Canvas of zeros, (N, side + S, side + S), to lay patches of S pixels inside of the side.

    Larger than an image, because a small digit's square is padded to the largest size, and that
    empty padding may reach beyond the border.
    """
    return np.zeros((num_images, side + largest, side + largest), np.float32)


def lay_on(
    canvas_NHW: np.ndarray, patch_NSS: np.ndarray, tops_N: Int64Array, lefts_N: Int64Array
) -> None:
    """Adds a patch to each canvas, in place, its top left corner where it is told."""
    image_N11 = np.arange(len(canvas_NHW))[:, None, None]
    offsets_S = np.arange(patch_NSS.shape[-1])
    rows = tops_N[:, None, None] + offsets_S[:, None]
    columns = lefts_N[:, None, None] + offsets_S
    canvas_NHW[image_N11, rows, columns] += patch_NSS


def warn_that_data_dir_is_ignored(name: str, data_dir: Path | None) -> None:
    """These digits come with scikit-learn: a folder has no use for them."""
    if data_dir is not None:
        _log.warning(
            "data '%s': the data folder '%s' is ignored, the images come with scikit-learn.",
            name,
            data_dir,
        )
