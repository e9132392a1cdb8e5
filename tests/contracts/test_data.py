"""Every data set in nas/data keeps its contract; those of the user's own read small files."""

import atexit
import functools
import os
import shutil
import tempfile
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest

from nas.data import DATA, DataSet, MissingDataError, load_data
from nas.data.cifar10 import CLASSES
from nas.testing.data import NUM_CALIBRATION, OF_LOADING, Load
from search_spaces import Resolution
from tests.own_data import write_classes, write_masks, write_parquet


@functools.cache
def examples() -> Path:
    """A folder with small files for the data sets that are read from the user's own."""
    root = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, root)
    write_classes(root / "image-folder", dict.fromkeys("abcd", 200))
    write_parquet(root / "parquet.parquet", [0, 1] * 400)
    write_masks(root / "mask-folder", 500)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (800, 16, 16), np.uint8)
    np.savez(root / "npz.npz", images=images, labels=np.arange(800) % 8)
    for number, split in enumerate(("train", "test")):
        labels = [i % 10 for i in range(800)]
        write_parquet(root / f"cifar10/{split}-0.parquet", labels, names=CLASSES, seed=number)
    return root


@functools.cache
def loaded(name: str, seed: int = 0, resolution: Resolution | None = None) -> DataSet:
    """The data set; a skip if its files are not here, which CI does not accept."""
    own = list(examples().glob(f"{name}*"))
    try:
        return load_data(
            name,
            resolution=resolution,
            seed=seed,
            data_dir=own[0] if own else None,
            cache=examples() / "cache",
        )
    except MissingDataError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize("name", DATA.names())
@pytest.mark.parametrize("check", OF_LOADING, ids=attrgetter("__name__"))
def test_any_data_set(name: str, check: Callable[[str, Load], None]) -> None:
    def load(
        seed: int = 0, *, again: bool = False, resolution: Resolution | None = None
    ) -> DataSet:
        if again or resolution:
            return loaded.__wrapped__(name, seed, resolution)
        return loaded(name, seed)

    check(name, load)


@pytest.mark.parametrize("name", DATA.names())
def test_splits_of_ours_have_every_class_about_equally_often(name: str) -> None:
    data = loaded(name)
    if data.train.labels_N.ndim > 1:  # ground is everywhere
        return
    assert len(data.calibration) == NUM_CALIBRATION
    for split in (data.train, data.search, data.calibration, data.test):
        counts = np.bincount(split.labels_N, minlength=data.num_classes)
        assert len(counts) == data.num_classes
        assert counts.min() > 0
        assert counts.max() <= 1.2 * counts.min()
