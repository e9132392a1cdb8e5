"""`.npz` files of images and labels.

- Arrays: `images` and `labels`; or one pair per split, as `train_images` and `train_labels` or as
  `x_train` and `y_train`, likewise for test and for val. Optional: `classes`, the classes' names.
- Images: uint8 or uint16, of shape (N, H, W), (N, H, W, C) or (N, C, H, W); 1, 3 or 4 channels.
- Labels: whole numbers from 0, or words, of shape (N,) or (N, 1).

Images are read a few at a time, however large the file is.

Shape suffixes: N images, B images at a time, C channels, H W pixels.
"""

import math
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, final

import numpy as np
import numpy.typing as npt

from nas.data._base import DATA, AbstractData, DataSet, MissingDataError, Request
from nas.data._decode import Content
from nas.data._files import LAYOUTS, OWN_PATH, SPLIT_OF_WORD, TRAIN, readable
from nas.data._labels import Labels, index_of, one_per_image
from nas.data._source import AbstractSource, Index, stamp
from nas.data._store import load_source
from search_spaces import UserError

Array = npt.NDArray[Any]

CHANNELS = (1, 3, 4)
BYTES_AT_ONCE = 4 << 20
EXAMPLE = "numpy.savez_compressed('data.npz', images=images, labels=labels)"


@final
@DATA.register
class Npz(AbstractData):
    """One .npz file; missing splits are held out of train."""

    def load(self, request: Request) -> DataSet:
        """Read the labels, then the images into the cache."""
        path = request.data_dir
        if path is None:
            raise MissingDataError(
                "data 'npz' needs a file. Give its path: --data PATH. " + LAYOUTS
            )
        return load_source(NpzSource(path), request, name=path.stem or "data")

    def where(self, data_dir: Path | None) -> str:
        """See `AbstractData.where`."""
        return OWN_PATH


@dataclass(frozen=True)
class ArchiveMember:
    """An array in the file, before it is read.

    Attributes:
        name: As it was saved.
        shape: Of the array.
        dtype: Of the array.
        is_fortran: Whether its first axis, not its last, lies next to each other.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool


@final
class NpzSource(AbstractSource):
    """The arrays of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def stamps(self) -> Iterator[str]:
        """One line."""
        yield stamp(str(self._path), self._path.parent)

    def index(self) -> Index:
        """The labels; of the images only the shapes are read."""
        found: dict[str, list[tuple[str, Labels]]] = {}
        with readable(self._path), zipfile.ZipFile(self._path) as archive:
            members = _members(archive)
            for split, (images, labels) in self._pairs(members).items():
                values = one_per_image(_whole(archive, members[labels]))
                pieces = partial(_in_pieces, archive, members[images])
                check_images(members[images], pieces, f"data file '{self._path}'")
                if members[images].shape[0] != len(values):
                    raise UserError(
                        f"data file '{self._path}': '{images}' has {members[images].shape[0]} "
                        f"images and '{labels}' {len(values)} labels. There must be one for each."
                    )
                found[split] = [(f"{self._path}' ('{labels}')", values)]
            names = _whole(archive, members["classes"]) if "classes" in members else None
        return index_of(found, None if names is None else [str(name) for name in names.ravel()])

    def images(self) -> Iterator[tuple[str, Content]]:
        """Pixels (H, W) or (H, W, C), a few megabytes in memory at a time."""
        with readable(self._path), zipfile.ZipFile(self._path) as archive:
            members = _members(archive)
            for name, _ in self._pairs(members).values():
                number = 0
                for images_B in _in_pieces(archive, members[name]):
                    for image in channels_last(images_B):
                        yield f"{self._path}' ('{name}', image {number})", image
                        number += 1

    def _pairs(self, members: dict[str, ArchiveMember]) -> dict[str, tuple[str, str]]:
        """The names of images and labels of each split, train first."""
        pairs = {TRAIN: ("images", "labels")} if {"images", "labels"} <= members.keys() else {}
        for word, split in SPLIT_OF_WORD.items():
            for pair in ((f"{word}_images", f"{word}_labels"), (f"x_{word}", f"y_{word}")):
                if members.keys() >= set(pair):
                    pairs.setdefault(split, pair)
        if TRAIN not in pairs:
            names = ", ".join(f"'{name}'" for name in list(members)[:10]) or "nothing"
            raise UserError(
                f"data file '{self._path}' has {names}, not 'images' and 'labels', nor "
                f"'train_images' and 'train_labels'. Save it so: {EXAMPLE}"
            )
        return pairs


def _members(archive: zipfile.ZipFile) -> dict[str, ArchiveMember]:
    found = {}
    for file in archive.namelist():
        with archive.open(file) as stream:
            name = file.removesuffix(".npy")
            found[name] = ArchiveMember(name, *_header(stream))
    return found


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    """Shape, type and order of the array that follows."""
    major, _ = np.lib.format.read_magic(stream)
    read = (
        np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    )
    shape, is_fortran, dtype = read(stream)
    return shape, dtype, is_fortran


def _whole(archive: zipfile.ZipFile, member: ArchiveMember) -> Array:
    _check_plain(member)
    with archive.open(f"{member.name}.npy") as stream:
        values: Array = np.lib.format.read_array(stream, allow_pickle=False)
    return np.atleast_1d(values)


def _in_pieces(archive: zipfile.ZipFile, member: ArchiveMember) -> Iterator[Array]:
    """An array some rows at a time."""
    if member.is_fortran:
        yield _whole(archive, member)
        return
    row_bytes = math.prod(member.shape[1:]) * member.dtype.itemsize
    rows = max(1, BYTES_AT_ONCE // row_bytes)
    with archive.open(f"{member.name}.npy") as stream:
        _header(stream)
        for start in range(0, member.shape[0], rows):
            count = min(rows, member.shape[0] - start)
            content = stream.read(count * row_bytes)
            yield np.frombuffer(content, member.dtype).reshape(count, *member.shape[1:])


def _check_plain(member: ArchiveMember) -> None:
    if member.dtype.hasobject:
        raise ValueError(f"'{member.name}' is an array of Python objects, which is not opened")


def check_images(member: ArchiveMember, pieces: Callable[[], Iterable[Array]], where: str) -> None:
    """Refuse arrays that are no images.

    Args:
        member: The array.
        pieces: Gives its values, or some of them.
        where: It lies, for messages.

    Raises:
        UserError: Saying what images are, and how to make them of these values.
    """
    shape, dtype = member.shape, member.dtype
    if dtype not in (np.uint8, np.uint16):
        raise UserError(
            f"{where}: '{member.name}' is {dtype}. Images must be uint8 or uint16. "
            f"{_conversion(member, pieces)}"
        )
    has_channels = len(shape) == 4 and (shape[3] in CHANNELS or shape[1] in CHANNELS)
    if (len(shape) != 3 and not has_channels) or 0 in shape[1:]:
        raise UserError(
            f"{where}: '{member.name}' has shape {shape}. Images must be (N, H, W), "
            "(N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels."
        )


def check_array(name: str, images: Array, where: str, shape: tuple[int, ...] = ()) -> None:
    """As `check_images`, of an array in memory.

    Args:
        name: What messages call it.
        images: All of them, or some.
        where: It lies, for messages.
        shape: Of all of them, if these are some.
    """
    member = ArchiveMember(name, shape or images.shape, images.dtype, is_fortran=False)
    check_images(member, lambda: [images], where)


def _conversion(member: ArchiveMember, pieces: Callable[[], Iterable[Array]]) -> str:
    """How to make images of an array of another type, by the range of its values."""
    if member.dtype.kind not in "biuf" or 0 in member.shape:
        return "Save their pixels."
    ends = np.array([(a.min(), a.max()) for a in pieces()], float)
    low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
    values = f"Its values go from {low:g} to {high:g}."
    if low >= 0 and high <= 1 and member.dtype.kind in "bf":
        return "Convert fractions of white so: (images * 255).round().astype('uint8')"
    if low >= 0 and high <= 65535:
        kind = "uint8" if high <= 255 else "uint16"
        rounded = ".round()" if member.dtype.kind == "f" else ""
        return f"{values} Convert them so: images{rounded}.astype('{kind}')"
    return f"{values} Bring them to 0-255, and save them as uint8."


def channels_last(images_B: Array) -> Array:
    """Images (B, H, W) or (B, H, W, C), as they are decoded."""
    if images_B.ndim == 4 and images_B.shape[3] not in CHANNELS:
        images_B = images_B.transpose(0, 2, 3, 1)
    if images_B.ndim == 4 and images_B.shape[3] == 1:
        images_B = images_B[..., 0]
    return np.ascontiguousarray(images_B)
