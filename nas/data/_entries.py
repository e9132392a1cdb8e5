"""A source's images before they are decoded, in files that are mapped: any of them is at hand.

    entries.bin    for each image its path, or its bytes where the source is no folder of files;
                   one after the other in reading order
    stops.npy      int64 (N,): where each ends in entries.bin
    order.npy      int64 (N,): train, then search, then test, by places in reading order

Shape suffixes: N images, B some of them.
"""

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import final

import numpy as np

from nas.data._base import Int64Array, Progress
from nas.data._decode import Content
from nas.data._source import AbstractSource, Index

ENTRIES, STOPS, ORDER = "entries.bin", "stops.npy", "order.npy"
TOLD_EVERY = 4096


@final
class Entries:
    """What `write_entries` has left in a folder.

    Args:
        folder: The folder.
        source: Place of the source, for messages about images that have no path.
        are_paths: Whether the entries are paths, not images.
    """

    def __init__(self, folder: Path, source: str, *, are_paths: bool) -> None:
        self._folder, self._source, self.are_paths = folder, source, are_paths

    def at(self, images_B: Int64Array) -> Iterator[tuple[str, Content]]:
        """What these images are called in a message, and the images.

        Args:
            images_B: Their places among train, then search, then test.
        """
        entries, stops_N = self._mapped
        for place in self._order_N[images_B].tolist():
            start = int(stops_N[place - 1]) if place else 0
            content = entries[start : int(stops_N[place])].tobytes()
            if self.are_paths:
                path = os.fsdecode(content)
                yield path, path
            else:
                yield f"{self._source}, image {place}", content

    @cached_property
    def _mapped(self) -> tuple[np.ndarray, Int64Array]:
        entries = np.memmap(self._folder / ENTRIES, np.uint8, "r")
        return entries, np.load(self._folder / STOPS, mmap_mode="r")

    @cached_property
    def _order_N(self) -> Int64Array:
        order_N: Int64Array = np.load(self._folder / ORDER, mmap_mode="r")
        return order_N


@final
class SomeEntries(AbstractSource):
    """Some images of a source, in an order of their own."""

    def __init__(self, source: AbstractSource, entries: Entries, images_B: Int64Array) -> None:
        self._source, self._entries, self._images_B = source, entries, images_B

    @property
    def path(self) -> Path:
        """That of the source."""
        return self._source.path

    def stamps(self) -> Iterator[str]:
        """Those of the source."""
        return self._source.stamps()

    def index(self) -> Index:
        """That of the source."""
        return self._source.index()

    def images(self) -> Iterator[tuple[str, Content]]:
        """These alone."""
        return self._entries.at(self._images_B)


def has_entries(source: AbstractSource) -> bool:
    """Whether the images of a source are files or bytes of files, not arrays of pixels."""
    _, content = next(iter(source.images()))
    return not isinstance(content, np.ndarray)


def write_entries(
    source: AbstractSource, order_N: Int64Array, folder: Path, progress: Progress
) -> Entries:
    """Keep the images of a source, or their paths, in the order in which they are read.

    Args:
        source: The images.
        order_N: For train, then search, then test, their places in reading order.
        folder: Of the files.
        progress: Told how many are done.
    """
    stops_N = np.empty(len(order_N), np.int64)
    stop, are_paths = 0, True
    with (folder / ENTRIES).open("wb") as file:
        for place, (_, content) in enumerate(source.images()):
            assert not isinstance(content, np.ndarray)
            are_paths = isinstance(content, str)
            stop += file.write(os.fsencode(content) if isinstance(content, str) else content)
            stops_N[place] = stop
            if place % TOLD_EVERY == 0:
                progress(place, len(order_N), "images listed")
        file.flush()
        os.fsync(file.fileno())
    np.save(folder / STOPS, stops_N)
    np.save(folder / ORDER, order_N)
    return Entries(folder, str(source.path), are_paths=are_paths)
