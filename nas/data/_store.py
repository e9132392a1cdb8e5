"""From a source of images to a data set whose pixels lie in a file that is mapped into memory.

    <cache>/<data>-<digest>-<seed>/images.npy    uint8 (N, C, H, W): train, then search, then test
                                   labels.npy    int64 (N,)
                                   facts.json    everything else

The digest covers the source's files (names, sizes, times of change), what was asked for (the
resolution, and whether corrupt images are left out), and what decodes them; so a file that changes,
comes or goes makes another folder. Each split is a slice of the file in its final, stratified
order, which is why the seed is in the name.

A folder is written under another name and renamed when it is complete, by one process at a time.
Then the folders of the same source as it was before its files changed are deleted. The rest, such
as that of a source that is gone, can be deleted whenever no search is at work.

Shape suffixes: N images, C channels, H W pixels, V the 256 pixel values.
"""

import errno
import hashlib
import itertools
import json
import logging
import math
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from io import RawIOBase
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from filelock import Timeout

from nas.data._base import (
    NUM_CALIBRATION_IMAGES,
    DataSet,
    Int64Array,
    Progress,
    Ranges,
    Request,
    Split,
    UInt8Array,
    pixel_counts,
    statistics_of,
)
from nas.data._damaged import SoundSource, or_damage, undecodable
from nas.data._decode import decode, quietly
from nas.data._files import DamagedError, refuse_damaged
from nas.data._load import label_of
from nas.data._look import Look, look_of, ranges_of
from nas.data._parallel import Named, in_parallel
from nas.data._ranges import in_words, read_ranges
from nas.data._source import AbstractSource, check_index, deal, splits_note
from nas.system.files import file_lock, write_json
from search_spaces import read_sides

SCHEMA = 3
"""Goes up when the same files give other pixels, labels or splits than before."""

SPLITS = ("train", "search", "test")
IMAGES, LABELS, FACTS = "images.npy", "labels.npy", "facts.json"

_log = logging.getLogger(__name__)


def load_source(source: AbstractSource, request: Request, *, name: str) -> DataSet:
    """The data set of a source: from the cache, or decoded into it now.

    Args:
        source: The images.
        request: Resolution, seed, cache and progress.
        name: Of the data set.

    Raises:
        UserError: If a file is damaged or missing, or the images cannot be trained on.
        OSError: If the cache cannot be written.
    """
    digest = _digest(source, request)
    stem = f"{label_of(name)}-{digest}"
    folder = request.cache / f"{stem}-{request.seed}"
    data = _opened(folder, name)
    if data is None:
        request.cache.mkdir(parents=True, exist_ok=True)
        with _locked(request.cache / f".{stem}.lock", name):
            data = _opened(folder, name)  # another process may have written it meanwhile
            if data is None:
                for left in (folder, *request.cache.glob(f".{stem}-*.part")):
                    shutil.rmtree(left, ignore_errors=True)
                _write(source, request, folder)
                _delete_outdated(folder, source, request)
                data = _opened(folder, name)
    assert data is not None, folder
    return data


def _digest(source: AbstractSource, request: Request) -> str:
    asked = f"{request.resolution}{' without corrupt' if request.skip_corrupt else ''}"
    digest = hashlib.sha256(f"{SCHEMA} {PIL.__version__} {asked}\n".encode())
    for line in (f"{source.path.absolute()}\n", *source.stamps()):
        digest.update(os.fsencode(line))
    return digest.hexdigest()[:16]


def _origin(source: AbstractSource, request: Request) -> dict[str, Any]:
    """What stays the same when the files of a source change."""
    return {
        "source": str(source.path.absolute()),
        "asked": request.resolution,
        "skip_corrupt": request.skip_corrupt,
    }


def _delete_outdated(folder: Path, source: AbstractSource, request: Request) -> None:
    """Delete what was decoded from the same source before its files, or this program, changed.

    A process that has such a file mapped keeps it until it ends.
    """
    origin, digest = _origin(source, request), folder.name.rpartition("-")[0]
    earlier = {"skip_corrupt": False}  # before there was a choice
    for other in folder.parent.glob(f"*/{FACTS}"):
        try:
            facts = json.loads(other.read_text(encoding="utf-8"))
            is_same_source = origin.items() <= {**earlier, **facts}.items()
        except (OSError, ValueError, AttributeError, RecursionError):
            continue
        if is_same_source and other.parent.name.rpartition("-")[0] != digest:
            shutil.rmtree(other.parent, ignore_errors=True)


def _opened(folder: Path, name: str) -> DataSet | None:
    """The data set in a folder of the cache; None if there is none, or it is not whole."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        # NOTE: "c" is copy on write. Nobody writes, but torch warns of arrays that are read-only.
        images_NCHW = np.load(folder / IMAGES, mmap_mode="c", allow_pickle=False)
        labels_N = np.load(folder / LABELS, allow_pickle=False)
        return _data_set(name, facts, images_NCHW, labels_N)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, LookupError, TypeError, EOFError, RecursionError) as error:
        _log.warning("data '%s': '%s' is damaged (%s) and made anew.", name, folder, error)
        return None


def _data_set(
    name: str, facts: Mapping[str, Any], images_NCHW: UInt8Array, labels_N: Int64Array
) -> DataSet:
    sides = read_sides(facts["resolution"])
    shape = (sum(facts["sizes"]), facts["channels"], *sides)
    if images_NCHW.shape != shape or labels_N.shape != shape[:1]:
        raise ValueError(f"images {images_NCHW.shape}, labels {labels_N.shape}, not {shape}")
    # NOTE: a plain view of the mapped file, because slices of np.memmap are slow to make.
    pixels = images_NCHW.view(np.ndarray)
    stops = np.cumsum([0, *facts["sizes"]]).tolist()
    train, search, test = (
        Split(pixels[start:stop], labels_N[start:stop]) for start, stop in itertools.pairwise(stops)
    )
    return DataSet(
        name=name,
        classes=tuple(facts["classes"]),
        mean=tuple(facts["mean"]),
        std=tuple(facts["std"]),
        can_flip=True,
        crop_padding=min(sides) // 8,
        resize=facts["resize"],
        note=facts["note"],
        num_corrupt=facts["corrupt"],
        ranges=read_ranges(facts["ranges"]),
        train=train,
        search=search,
        calibration=train.take(NUM_CALIBRATION_IMAGES),
        test=test,
    )


def _write(source: AbstractSource, request: Request, folder: Path) -> None:
    """Decode a source into a folder of the cache, which appears whole or not at all."""
    index, num_corrupt = source.index(), 0
    with quietly():
        if request.skip_corrupt:
            damaged = undecodable(source, request.progress, index.num_images)
            source, num_corrupt = SoundSource(source, damaged), len(damaged)
            index = source.index()
        check_index(index, source.path)
        num_images = index.num_images
        look = look_of(source, request, num_images)
        request.accept(look.resolution, look.channels, len(index.classes))
        rows = deal(index, request.seed)
        ranges = ranges_of(source, request, rows["train"], num_images) if look.kinds else {}
        order_N = np.concatenate([rows[split] for split in SPLITS])
        num_pixels = num_images * math.prod(read_sides(look.resolution))
        _check_space(request.cache, num_pixels * look.channels)
        part = folder.with_name(f".{folder.name}.part")
        part.mkdir()
        try:
            counts_CV = _write_images(
                source,
                look,
                ranges,
                order_N,
                part / IMAGES,
                num_train=len(rows["train"]),
                progress=request.progress,
            )
            np.save(part / LABELS, np.concatenate([*index.labels.values()])[order_N])
            mean, std = statistics_of(counts_CV)
            notes = (splits_note(index, len(rows["test"])), look.note(), in_words(ranges))
            facts = {
                "schema": SCHEMA,
                **_origin(source, request),
                "classes": index.classes,
                "sizes": [len(rows[split]) for split in SPLITS],
                "channels": look.channels,
                "resolution": look.resolution,
                "mean": mean,
                "std": std,
                "resize": look.resize,
                "corrupt": num_corrupt,
                "ranges": ranges,
                "note": "; ".join(filter(None, notes)),
            }
            write_json(part / FACTS, facts)
            part.rename(folder)
        except OSError as error:
            if error.filename is not None:
                raise
            code = error.errno or errno.ENOSPC  # numpy does not say which
            raise OSError(code, os.strerror(code), str(folder)) from error
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _write_images(
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


def _check_space(folder: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise OSError(
            f"cache '{folder}': the decoded images need {needed_bytes / 1e6:,.1f} MB and "
            f"{free_bytes / 1e6:,.1f} MB are free. Name a folder on another disk with --cache, ask "
            "for a lower --resolution, or make room"
        )


@contextmanager
def _locked(path: Path, name: str) -> Iterator[None]:
    lock = file_lock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        _log.warning("data '%s': another process is reading it; waiting for that.", name)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
