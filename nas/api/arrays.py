"""Images and labels that a Python program has in memory: as a file that the run keeps.

They are written once, as data.npz of the run, which from then on is the path of the run's data. So
the run is complete by itself: it continues, may be moved, and its members are trained further.

Shape suffix: N images.
"""

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nas.data._labels import check_labels, one_per_image
from nas.data.npz import check_array
from nas.run.own_files import CONFIG, DATA_FILE
from nas.system.files import make_folder
from search_spaces import UserError
from supernets.files import replacing

Array = npt.NDArray[Any]


class Dataset(Protocol):
    """A data set in torch's sense: its items are pairs of an image and a label."""

    def __len__(self) -> int:
        """How many items."""

    def __getitem__(self, index: int, /) -> Any:
        """Item 0 to N - 1."""


Data = str | Path | tuple[Any, Any] | Dataset
"""A name, a path, a pair of arrays, or a data set."""


@dataclass(frozen=True, eq=False)
class Arrays:
    """Images with a label each.

    Attributes:
        images: uint8 or uint16, (N, H, W), (N, H, W, C) or (N, C, H, W).
        labels: Whole numbers from 0, or words, (N,).
    """

    images: Array
    labels: Array

    @property
    def name(self) -> str:
        """What stands for them in the name of a run's folder."""
        crc = zlib.crc32(np.ascontiguousarray(self.images).data)
        return f"arrays-{zlib.crc32(self.labels.tobytes(), crc):08x}"

    def equal(self, other: "Arrays") -> bool:
        """Whether all images and labels are the same."""
        pairs = ((self.images, other.images), (self.labels, other.labels))
        return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in pairs)


def arrays_in(data: Data) -> Arrays | None:
    """The images and labels that were given; None if a name or a path was.

    Args:
        data: Of a pair and of a data set all images have one shape; tensors lie on the CPU.

    Raises:
        UserError: If it is something else.
    """
    if isinstance(data, str | Path):
        return None
    if isinstance(data, tuple) and len(data) == 2:
        found = Arrays(_array("images", data[0]), one_per_image(_array("labels", data[1])))
    elif _is_data_set(data):
        found = _read(data)
    else:
        raise UserError(
            f"data is {type(data).__name__}. It must be a name, a path, a pair of arrays (images, "
            "labels), or a data set with a length and items."
        )
    check_array("images", found.images, "data")
    check_labels(found.labels, "data")
    return found


def _is_data_set(data: object) -> bool:
    """Whether it has items by number."""
    has_items = hasattr(data, "__len__") and hasattr(data, "__getitem__")
    return has_items and not isinstance(data, Mapping)


@contextmanager
def kept(arrays: Arrays, out: Path) -> Iterator[Path]:
    """The file of a run that has them, written now if there is none.

    If the search is refused before the run has begun, nothing of it stays.

    Raises:
        UserError: If the run has others.
    """
    file, is_begun = out / DATA_FILE, (out / CONFIG).exists()
    is_new = not file.exists()
    if is_new:
        make_folder(out)
        with replacing(file) as temporary, temporary.open("wb") as stream:
            np.savez(stream, images=arrays.images, labels=arrays.labels)
    elif not arrays.equal(_written(file)):
        raise UserError(
            f"data: the images or labels are not those of run '{out}', which keeps its own in "
            f"{DATA_FILE}. Give the same ones, or begin a new run with another out."
        )
    try:
        yield file.absolute()
    except UserError:
        if is_new and (is_begun or not (out / CONFIG).exists()):
            file.unlink()
            with suppress(OSError):  # others' files are in it
                out.rmdir()
        raise


def _written(file: Path) -> Arrays:
    try:
        with np.load(file, allow_pickle=False) as archive:
            return Arrays(archive["images"], archive["labels"])
    except Exception as error:  # a damaged archive raises anything
        raise UserError(
            f"data file '{file}' cannot be read: {error}. Restore it from a copy, or begin a new "
            "run with another out."
        ) from error


def _read(data: Dataset) -> Arrays:
    """All items of a data set."""
    number = len(data)
    if not number:
        raise UserError("data has no image. Give a data set with some.")
    first = _pair(data, 0)[0]
    check_array("images", first, "data", (number, *first.shape))
    images_N = np.empty((number, *first.shape), first.dtype)
    labels: list[Array] = []
    for i in range(number):
        image, label = _pair(data, i)
        if (image.shape, image.dtype) != (first.shape, first.dtype):
            raise UserError(
                f"data[{i}] has an image of shape {image.shape} and type {image.dtype}, and "
                f"data[0] one of {first.shape} and {first.dtype}. All must be alike: resize them "
                "in the data set, or give the path of a folder, whose images may differ."
            )
        images_N[i] = image
        labels.append(label)
    return Arrays(images_N, one_per_image(_array("labels", [label.tolist() for label in labels])))


def _pair(data: Dataset, number: int) -> tuple[Array, Array]:
    item = data[number]
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise UserError(
            f"data[{number}] is {type(item).__name__}. It must be a pair (image, label)."
        )
    what = f"data[{number}]"
    return _array(f"the image of {what}", item[0]), _array(f"the label of {what}", item[1])


def _array(what: str, value: Any) -> Array:
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:  # of ragged lists, of tensors elsewhere
        raise UserError(
            f"data: {what} cannot be made an array: {error}. Give arrays of numpy, or tensors on "
            "the CPU without gradients."
        ) from error
