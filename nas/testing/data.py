"""What every data set keeps to, whatever its images show: `CHECKS`, each of one by its name."""

import functools
import hashlib
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from nas.data import DataSet, Split, load_data
from nas.testing._by_name import by_name
from nas.testing._expect import require
from search_spaces import IGNORED, Resolution

NAMES = ("train", "search", "calibration", "test")
NUM_CALIBRATION = 512
NOT_SQUARE = "24x40"


class Load(Protocol):
    """Loads a data set."""

    def __call__(
        self, seed: int = 0, *, again: bool = False, resolution: Resolution | None = None
    ) -> DataSet:
        """The data set for a seed and a size; with `again` not one that was loaded before."""


def check_images_are_uint8_and_of_one_shape(name: str, load: Load) -> None:
    """Images are uint8, of one shape, and not all alike."""
    _require_images(load())


def check_images_may_be_of_another_shape_than_a_square(name: str, load: Load) -> None:
    """A size that is no square is what images have, if it is asked for."""
    data = load(resolution=NOT_SQUARE)
    require(data.resolution == NOT_SQUARE, f"images are {data.resolution} px, not {NOT_SQUARE}")
    _require_images(data)
    _require_a_small_shift(data)


def _require_images(data: DataSet) -> None:
    shape = (data.channels, *data.sides)
    for split_name, split in _splits(data).items():
        found = split.images_NCHW
        what = f"{split_name}: {found.dtype} of shape {found.shape}"
        require(found.dtype == np.uint8, f"{what}, not uint8")
        require(found.shape == (len(split), *shape), f"{what}, not {(len(split), *shape)}")
        require(found.flags.c_contiguous, f"{what}, not contiguous")
        require(np.ptp(found) > 100, f"{what}: the pixels span {np.ptp(found)} of 255 values")


def check_every_class_is_in_every_split_as_often_as_in_train(name: str, load: Load) -> None:
    """Every class is in every split, and about as often as in train."""
    data = load()
    if data.train.labels_N.ndim > 1:
        _require_masks(data)
        return
    share_K = np.bincount(data.train.labels_N, minlength=data.num_classes) / len(data.train)
    for split_name, split in _splits(data).items():
        require(split.labels_N.dtype == np.int64, f"{split_name}: labels are not int64")
        found_K = np.bincount(split.labels_N, minlength=data.num_classes)
        require(len(found_K) == data.num_classes, f"{split_name} has labels that are no class")
        expected_K = share_K * len(split)
        missing_K = (found_K == 0) & (expected_K >= 1)
        require(not missing_K.any(), f"{split_name} lacks {missing_K.sum()} classes")
        if split_name != "test":  # which may have been made by others
            apart_K = np.abs(found_K - expected_K) > 1 + 0.1 * expected_K
            what = f"{split_name} has {found_K.min()} to {found_K.max()} images of a class"
            require(not apart_K.any(), f"{what}, and train other shares")


def _require_masks(data: DataSet) -> None:
    """Masks are as large as images, and have pixels of all classes in every split."""
    for split_name, split in _splits(data).items():
        shape = (len(split), 1, *data.sides)
        found = split.labels_N.shape
        require(found == shape, f"{split_name}: masks have shape {found}, not {shape}")
        counts_V = np.bincount(split.labels_N.ravel(), minlength=IGNORED + 1)
        others = counts_V[data.num_classes : IGNORED].sum()
        require(not others, f"{split_name} has {others} pixels that are of no class")
        missing = (counts_V[: data.num_classes] == 0).sum()
        require(not missing, f"{split_name} lacks {missing} classes")


def check_no_image_is_in_two_of_train_search_and_test(name: str, load: Load) -> None:
    """No image is in two of train, search and test."""
    data = load()
    train, search, test = (_digests(part) for part in (data.train, data.search, data.test))
    for pair, shared in (
        ("train and search", train & search),
        ("train and test", train & test),
        ("search and test", search & test),
    ):
        require(not shared, f"{pair} have {len(shared)} images in common")


def check_calibration_is_the_start_of_train(name: str, load: Load) -> None:
    """Calibration is the start of train."""
    data = load()
    number = min(NUM_CALIBRATION, len(data.train))
    start = data.train.take(number)
    require(
        len(data.calibration) == number
        and np.array_equal(data.calibration.images_NCHW, start.images_NCHW)
        and np.array_equal(data.calibration.labels_N, start.labels_N),
        f"calibration is not the first {number} images of train",
    )


def check_a_seed_gives_the_same_every_time(name: str, load: Load) -> None:
    """A seed gives the same data set every time."""
    first, second = _splits(load()), _splits(load(again=True))
    for split_name, split in first.items():
        require(
            np.array_equal(split.images_NCHW, second[split_name].images_NCHW),
            f"{split_name}: loaded again, its images are others",
        )


def check_another_seed_holds_out_other_images(name: str, load: Load) -> None:
    """Another seed holds out other images."""
    first, second = load(), load(1)
    require(
        _digests(first.search) != _digests(second.search),
        "search has the same images with seeds 0 and 1",
    )


def check_normalised_training_images_have_mean_0_and_std_1(name: str, load: Load) -> None:
    """Normalised training images have mean 0 and standard deviation 1."""
    data = load()
    pixels = data.train.images_NCHW[: len(data.train) // 4]
    x_NCHW = data.normalised(pixels)
    require(x_NCHW.dtype == np.float32, f"normalised images are {x_NCHW.dtype}")
    require(x_NCHW.shape == pixels.shape, f"normalised images are {x_NCHW.shape}")
    for what, found, wanted in (("mean", x_NCHW.mean, 0.0), ("deviation", x_NCHW.std, 1.0)):
        values = found(axis=(0, 2, 3))
        require(np.allclose(values, wanted, rtol=0.02 * wanted, atol=0.02), f"{what}: {values}")


def check_mean_and_std_are_those_of_train(name: str, load: Load) -> None:
    """Mean and deviation are those of train."""
    data = load()
    for channel in range(data.channels):
        pixels = data.train.images_NCHW[:, channel]
        found = pixels.mean() / 255, pixels.std(dtype=np.float32) / 255
        said = data.mean[channel], data.std[channel]
        is_close = (
            math.isclose(*p, abs_tol=1e-4, rel_tol=0) for p in zip(said, found, strict=True)
        )
        require(all(is_close), f"channel {channel}: mean and deviation are {found}, not {said}")


def check_it_has_names_and_a_small_shift(name: str, load: Load) -> None:
    """Classes have different names, and images may be shifted by an eighth at most."""
    data = load()
    require(data.name == name, f"its name is '{data.name}', not '{name}'")
    require(len(set(data.classes)) == len(data.classes), f"classes repeat: {data.classes}")
    require(all(data.classes), f"a class has no name: {data.classes}")
    _require_a_small_shift(data)


def _require_a_small_shift(data: DataSet) -> None:
    most = min(data.sides) // 8
    require(0 <= data.crop_padding <= most, f"crop_padding is {data.crop_padding}, over {most}")


OF_LOADING: tuple[Callable[[str, Load], None], ...] = (
    check_images_are_uint8_and_of_one_shape,
    check_images_may_be_of_another_shape_than_a_square,
    check_every_class_is_in_every_split_as_often_as_in_train,
    check_no_image_is_in_two_of_train_search_and_test,
    check_calibration_is_the_start_of_train,
    check_a_seed_gives_the_same_every_time,
    check_another_seed_holds_out_other_images,
    check_normalised_training_images_have_mean_0_and_std_1,
    check_mean_and_std_are_those_of_train,
    check_it_has_names_and_a_small_shift,
)


def _loading(name: str) -> list[tuple[str, Load]]:
    """A data set that needs no folder."""
    return [(name, functools.partial(_loaded, name))]


CHECKS: tuple[Callable[[str], None], ...] = tuple(by_name(c, _loading) for c in OF_LOADING)


def _loaded(
    name: str, seed: int = 0, *, again: bool = False, resolution: Resolution | None = None
) -> DataSet:
    if again or resolution:
        return _load(name, seed, resolution)
    return _remembered(name, seed)


@functools.lru_cache(maxsize=2)
def _remembered(name: str, seed: int) -> DataSet:
    return _load(name, seed)


def _load(name: str, seed: int, resolution: Resolution | None = None) -> DataSet:
    with tempfile.TemporaryDirectory(prefix="nas-") as cache:
        return load_data(name, resolution=resolution, seed=seed, cache=Path(cache))


def _splits(data: DataSet) -> dict[str, Split]:
    return {name: getattr(data, name) for name in NAMES}


def _digests(split: Split) -> set[bytes]:
    """Of every image: splits may be larger than memory."""
    return {hashlib.blake2b(image, digest_size=16).digest() for image in split.images_NCHW}
