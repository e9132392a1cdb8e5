"""The handwritten digits that come with scikit-learn: source of `digits` and `digit-pairs`.

1,797 grey images of 8 x 8 pixels with values 0 to 16, about 180 of each digit, no two equal.

Source: Alpaydin, Kaynak, Optical Recognition of Handwritten Digits (1998), UCI repository.
"""

import logging
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nas.data._base import Int64Array, Split, UInt8Array

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


def warn_that_data_dir_is_ignored(name: str, data_dir: Path | None) -> None:
    """These digits come with scikit-learn: a folder has no use for them."""
    if data_dir is not None:
        _log.warning(
            "data '%s': the data folder '%s' is ignored, the images come with scikit-learn.",
            name,
            data_dir,
        )
