"""Fashion-MNIST: 70,000 grey photographs of clothes, 28 pixels, ten classes.

Read from the four gzipped IDX files in which it is published. The 60,000 training images are split
into 55,000 for train and 5,000 for search, 500 of each class; test is the published one.

Source: Xiao, Rasul, Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
Learning Algorithms (2017), https://arxiv.org/abs/1708.07747.
"""

from pathlib import Path
from typing import final

import numpy as np

from nas.data._base import DATA, AbstractData, DataSet, Request, Split
from nas.data._files import find_folder
from nas.data._idx import read_idx
from nas.data._resize import resize, resize_rule
from search_spaces import Resolution, UserError, read_sides

RESOLUTION = 28
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
NUM_TRAIN_FILE_IMAGES, NUM_TEST_FILE_IMAGES, NUM_SEARCH_IMAGES = 60_000, 10_000, 5_000
TRAIN_FILES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
TEST_FILES = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
INSTALLED = Path("/usr/share/datasets/fashion-mnist")


@final
@DATA.register
class FashionMnist(AbstractData):
    """55,000 / 5,000 / 10,000 images for train / search / test."""

    def load(self, request: Request) -> DataSet:
        """Find and read the files; the seed decides which images are held out for search."""
        folder = _folder(request.data_dir)
        size = request.resolution or RESOLUTION
        rng = np.random.default_rng(request.seed)
        published = _read(folder, TRAIN_FILES, NUM_TRAIN_FILE_IMAGES, size).stratified(rng)
        test = _read(folder, TEST_FILES, NUM_TEST_FILE_IMAGES, size).stratified(rng)
        return DataSet.of_splits(
            "fashion-mnist",
            CLASSES,
            can_flip=True,
            crop_padding=min(read_sides(size)) // 14,
            resize=resize_rule(RESOLUTION, size),
            train=published.between(NUM_SEARCH_IMAGES, None),
            search=published.take(NUM_SEARCH_IMAGES),
            test=test,
        )

    def where(self, data_dir: Path | None) -> str:
        """See `AbstractData.where`."""
        return str(_folder(data_dir))


def _folder(data_dir: Path | None) -> Path:
    return find_folder(
        "fashion-mnist",
        TRAIN_FILES + TEST_FILES,
        data_dir=data_dir,
        installed=INSTALLED,
        package="dataset-fashion-mnist",
    )


def _read(folder: Path, files: tuple[str, str], num_images: int, resolution: Resolution) -> Split:
    images_file, labels_file = (folder / file for file in files)
    labels_N = read_idx(labels_file, (num_images,))
    # NOTE: MNIST's files have the same names and sizes, but its classes are not equally frequent.
    per_class = np.bincount(labels_N, minlength=len(CLASSES))
    if len(per_class) != len(CLASSES) or np.ptp(per_class) != 0:
        raise UserError(
            f"data file '{labels_file}' is not Fashion-MNIST's: its {num_images:,} labels are not "
            f"{num_images // len(CLASSES):,} of each of {len(CLASSES)} classes. "
            "MNIST's files have the same names; name the right folder with --data-dir."
        )
    images_NHW = read_idx(images_file, (num_images, RESOLUTION, RESOLUTION))
    return Split(resize(images_NHW[:, None], resolution), labels_N.astype(np.int64))
