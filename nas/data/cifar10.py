"""CIFAR-10: 60,000 colour photographs of 32 pixels, ten classes of animals and vehicles.

Read from the Parquet files in which the Hugging Face Hub publishes it. Of the 50,000 training
images, 5,000 are held out for search, 500 of each class; test is the published one.

Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009).
"""

from pathlib import Path
from typing import final

from nas.data._base import DATA, AbstractData, DataSet, MissingDataError, Request
from nas.data._files import TEST, TRAIN, find_parquet, usual_folders
from nas.data._store import load_source
from nas.data.parquet import ParquetSource
from search_spaces import UserError

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


@final
@DATA.register
class Cifar10(AbstractData):
    """45,000 / 5,000 / 10,000 images for train / search / test."""

    def load(self, request: Request) -> DataSet:
        """Find the Parquet files and decode their images."""
        folder = _folder(request.data_dir)
        source = ParquetSource(folder)
        _check_classes(source.index().classes, folder)
        return load_source(source, request, name="cifar10")

    def where(self, data_dir: Path | None) -> str:
        """See `AbstractData.where`."""
        return str(_folder(data_dir))


def _folder(data_dir: Path | None) -> Path:
    """The first of the usual folders that has the files of train and test."""
    folders = usual_folders("cifar10", data_dir)
    for folder in folders:
        splits = {split for split, _ in find_parquet(folder)} if folder.is_dir() else set()
        if {TRAIN, TEST} <= splits:
            return folder
    searched = ", ".join(f"'{folder}'" for folder in folders) or "nowhere, no folder is given"
    raise MissingDataError(
        "data 'cifar10' is not on this machine. It needs the Parquet files train-*.parquet and "
        f"test-*.parquet of https://huggingface.co/datasets/uoft-cs/cifar10. Searched: "
        f"{searched}. Name their folder with --data-dir or NAS_DATA."
    )


def _check_classes(classes: tuple[str, ...], folder: Path) -> None:
    if classes != CLASSES:
        raise UserError(
            f"data folder '{folder}' is not CIFAR-10's: its {len(classes)} classes start with "
            f"'{classes[0]}'. Name the folder as the data itself: --data {folder}"
        )
