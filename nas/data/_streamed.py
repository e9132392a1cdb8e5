"""Training images that are decoded while training runs, because all of them would be too much.

What is asked of them is what is asked of an array of images. The first ones, in stratified order,
are kept decoded, so that a sample of train costs nothing; others are decoded when they are asked
for. A training asks for one batch after the other, and what its next ones need is decoded by other
processes meanwhile. Which images those are is a pure function of the step, so a training that is
resumed decodes none twice.

Shape suffixes: N images, S those that are kept, B a batch, C channels, H W pixels.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
import numpy.typing as npt

from nas.data._base import Int64Array, Split, UInt8Array
from nas.data._decoders import Decoders
from nas.system.environment import num_cores

AHEAD_BYTES = 256 << 20
"""Of pixels that are decoded ahead, at most."""

MOST_AHEAD = 8
"""Batches that are decoded ahead, at most."""

LONGEST_STRIDE = 64
"""Between the steps of one process that shares training with others."""

AT_ONCE = 256
"""Images that are decoded together where an array is asked for."""


class _Batch(NamedTuple):
    """Pixels that are there when all that is waited for is done."""

    pixels_BCHW: UInt8Array
    waits: "list[Future[None]]"


@final
class StreamedImages:
    """Images as an array (N, C, H, W) of uint8 that is not in memory.

    Goes to other processes by pickle, which have decoders of their own.

    Args:
        shape: Of the array.
        kept: The file with the first images decoded, and with others after them.
        num_kept: How many of the first ones.
        job: What `nas.data._decode_worker` is told.
    """

    dtype: np.dtype[np.uint8] = np.dtype(np.uint8)
    ndim = 4

    def __init__(
        self, shape: tuple[int, ...], kept: Path, num_kept: int, job: Mapping[str, Any]
    ) -> None:
        self.shape = shape
        self._kept, self._num_kept, self._job = kept, num_kept, job
        self._decoders: Decoders | None = None
        self._expected: dict[bytes, _Batch] = {}
        self._step, self._in_row = 0, 0

    def __reduce__(self) -> tuple[Any, ...]:
        """As it was made: maps and processes stay here."""
        return StreamedImages, (self.shape, self._kept, self._num_kept, self._job)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Of all images."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __getitem__(self, key: slice | npt.NDArray[Any]) -> UInt8Array:
        """Some of the images, as an array; those that are not kept are decoded now."""
        images_B: Int64Array = np.arange(len(self))[key]
        if not len(images_B) or images_B.max() < self._num_kept:
            if isinstance(key, slice) and (key.step or 1) > 0:
                return self._first_SCHW[slice(*key.indices(len(self)))]  # a view
            return self._first_SCHW[images_B]
        if self._decoders is None:
            self._start(num_cores())
        pixels_BCHW = np.empty((len(images_B), *self.shape[1:]), np.uint8)
        for start in range(0, len(images_B), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            pixels_BCHW[part] = _finished(self._asked(images_B[part]))
        return pixels_BCHW

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """All of them, in memory."""
        return np.asarray(self[:], dtype)

    def batch(
        self, step: int, places_of: Callable[[int], npt.NDArray[Any]], *, decoders: int
    ) -> UInt8Array:
        """The images of a step of training, (B, C, H, W).

        Those of the next ones are decoded from now on: as many steps further as this one is from
        the one before, for processes that share a training take turns. One batch is decoded ahead
        first, and one more with every step, so that short tests of speed see the decoders' own.

        Args:
            step: Number of the step.
            places_of: The places of the images of any step.
            decoders: Processes that decode.

        Raises:
            UserError: If an image cannot be decoded, or a process ends.
        """
        self._start(decoders)
        stride = step - self._step
        goes_on = 0 < stride <= LONGEST_STRIDE
        stride, self._in_row = (stride, self._in_row + 1) if goes_on else (1, 0)
        self._step = step
        images_B = places_of(step)
        image_bytes = self.nbytes // len(self)
        most = max(1, AHEAD_BYTES // (image_bytes * len(images_B)))
        ahead = min(MOST_AHEAD, most, 1 + self._in_row)
        wanted = [images_B, *(places_of(step + k * stride) for k in range(1, ahead + 1))]
        expected = {}
        for places in wanted:
            key = places.tobytes()
            expected[key] = self._expected.get(key) or self._asked(places)
        self._expected = expected
        return _finished(self._expected.pop(images_B.tobytes()))

    def _start(self, decoders: int) -> None:
        """Has so many processes decode from now on."""
        if self._decoders is None or self._decoders.number != decoders:
            self._expected, self._decoders = {}, None  # which ends those there are
            self._decoders = Decoders(self._job, decoders)

    def _asked(self, images_B: npt.NDArray[Any]) -> _Batch:
        assert self._decoders is not None
        pixels_BCHW = np.empty((len(images_B), *self.shape[1:]), np.uint8)
        return _Batch(pixels_BCHW, self._decoders.ask(images_B.astype(np.int64), pixels_BCHW))

    @cached_property
    def _first_SCHW(self) -> UInt8Array:
        mapped: UInt8Array = np.load(self._kept, mmap_mode="c", allow_pickle=False)
        return mapped.view(np.ndarray)[: self._num_kept]


def streamed(split: Split) -> StreamedImages | None:
    """The images of a split that are decoded while training runs; None if they are an array."""
    images: object = split.images_NCHW
    return images if isinstance(images, StreamedImages) else None


def _finished(batch: _Batch) -> UInt8Array:
    for wait in batch.waits:
        wait.result()
    return batch.pixels_BCHW
