"""Images that cannot be read: all of them found at once, and a source without them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar, final

import numpy as np

from nas.data._base import Progress, UInt8Array
from nas.data._decode import Content, decode
from nas.data._files import DamagedError
from nas.data._parallel import Named, in_parallel
from nas.data._ranges import FLOAT
from nas.data._source import AbstractSource, Index

Result = TypeVar("Result")

ANY_FLOATS = {FLOAT: (0.0, 1.0)}
"""A range by which no floats are refused but those that are not finite."""

SHOWN = 3
"""Images named of those that are left out."""


def or_damage(read: Callable[[], Result]) -> Result | DamagedError:
    """What reading an image gives, or why it cannot be read."""
    try:
        return read()
    except DamagedError as error:
        error.__cause__ = error.__context__ = None  # their frames hold the image
        return error.with_traceback(None)


def undecodable(source: AbstractSource, progress: Progress, of: int) -> dict[int, DamagedError]:
    """All images that cannot be decoded, by their place in reading order.

    Args:
        source: The images.
        progress: Told how far reading is.
        of: Number of all images.
    """
    read = partial(decode, is_grey=False, resolution=1, ranges=ANY_FLOATS)

    def work(start: int, images: list[Named]) -> dict[int, UInt8Array | DamagedError]:
        found = (or_damage(partial(read, content, where)) for where, content in images)
        return dict(enumerate(found, start))

    damaged: dict[int, DamagedError] = {}
    done = 0
    for size, batch in in_parallel(work, source.images()):
        damaged |= {n: found for n, found in batch.items() if isinstance(found, DamagedError)}
        done += size
        progress(done, of, "images checked")
    return damaged


def said_of_damaged(errors: Sequence[DamagedError]) -> str:
    """How many images are left out, and which the first ones are, in words; "" for none."""
    shown = [error.short for error in errors]
    more = ", ..." if shown[SHOWN:] else ""
    names = f"{', '.join(shown[:SHOWN])}{more}"
    are = "image is" if len(shown) == 1 else "images are"
    return f"{len(shown)} corrupt {are} left out: {names}" if shown else ""


@final
class SoundSource(AbstractSource):
    """A source without its damaged images."""

    def __init__(self, source: AbstractSource, damaged: Mapping[int, DamagedError]) -> None:
        self._source = source
        self._damaged = damaged

    @property
    def path(self) -> Path:
        """That of the whole source."""
        return self._source.path

    def stamps(self) -> Iterator[str]:
        """Those of the whole source: a file that is mended is seen."""
        return self._source.stamps()

    def index(self) -> Index:
        """The labels of what is sound, and a note of what is not."""
        whole = self._source.index()
        labels, start = {}, 0
        for split, labels_N in whole.labels.items():
            places = range(start, start + len(labels_N))
            is_sound_N = np.array([place not in self._damaged for place in places], bool)
            labels[split], start = labels_N[is_sound_N], places.stop
        notes = (whole.note, said_of_damaged([*self._damaged.values()]))
        return replace(whole, labels=labels, note="; ".join(filter(None, notes)))

    def images(self) -> Iterator[tuple[str, Content]]:
        """Sound images."""
        return (
            named for place, named in enumerate(self._source.images()) if place not in self._damaged
        )
