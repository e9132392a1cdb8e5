"""Decoding the images of a source into one file, each to its place.

Shape suffixes: N images, B some of them, C channels, H W pixels, V the 256 pixel values.
"""

import errno
import math
import os
import threading
from functools import partial
from io import RawIOBase
from pathlib import Path

import numpy as np

from nas.data._base import Int64Array, Progress, Ranges, UInt8Array, pixel_counts
from nas.data._damaged import or_damage
from nas.data._decode import decode
from nas.data._files import DamagedError, refuse_damaged
from nas.data._look import Look
from nas.data._parallel import Named, in_parallel
from nas.data._source import AbstractSource
from search_spaces import read_sides


def write_images(
    source: AbstractSource,
    look: Look,
    ranges: Ranges,
    order_N: Int64Array,
    path: Path,
    *,
    num_train: int,
    progress: Progress,
) -> Int64Array:
    """Decode every image to its place in the file.

    Args:
        source: The images, in reading order.
        look: What they are brought to.
        ranges: Black and white of their values.
        order_N: For each place in the file, the image in reading order.
        path: The file.
        num_train: The first images of the file are train.
        progress: Told how many are done.

    Returns:
        How often each channel of train has each pixel value: (C, 256).
    """
    shape = (len(order_N), look.channels, *read_sides(look.resolution))
    read = partial(decode, is_grey=look.channels == 1, resolution=look.resolution, ranges=ranges)
    place_N = np.empty_like(order_N)
    place_N[order_N] = np.arange(len(order_N))
    with path.open("wb", buffering=0) as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        start_of_images, image_bytes = file.tell(), math.prod(shape[1:])
        writing = threading.Lock()

        def work(start: int, images: list[Named]) -> tuple[Int64Array, list[DamagedError]]:
            places_B = place_N[start : start + len(images)]
            images_BCHW = np.empty((len(images), *shape[1:]), np.uint8)
            wrong = []
            for image_CHW, place, (where, content) in zip(
                images_BCHW, places_B.tolist(), images, strict=True
            ):
                found = or_damage(partial(read, content, where))
                if isinstance(found, DamagedError):
                    wrong.append(found)
                    continue
                image_CHW[:] = found
                with writing:
                    _write_at(file, image_CHW, start_of_images + place * image_bytes)
            return pixel_counts(images_BCHW[places_B < num_train]), wrong

        counts_CV = np.zeros((look.channels, 256), np.int64)
        damaged: list[DamagedError] = []
        done = 0
        for size, (counts, wrong) in in_parallel(work, source.images()):
            counts_CV += counts
            damaged += wrong
            done += size
            progress(done, len(order_N), "images decoded")
        refuse_damaged(damaged, source.path)
        os.fsync(file.fileno())
    return counts_CV


def _write_at(file: RawIOBase, image_CHW: UInt8Array, offset: int) -> None:
    # NOTE: not through the mapped file, where a full disk would kill the process.
    file.seek(offset)
    if (file.write(image_CHW.data) or 0) < image_CHW.nbytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
