"""From a source of images to a data set whose pixels lie in a file that is mapped into memory.

    <cache>/<data>-<digest>-<seed>/images.npy    uint8 (N, C, H, W): train, then search, then test
                                   labels.npy    int64 (N,)
                                   facts.json    everything else

Of images that would take more than was said, `images.npy` has only the first ones of train before
search and test; the others are decoded while training runs (`nas.data._streamed`) from what
`nas.data._entries` keeps in the same folder. Then the headers of some images, and the pixels of the
first ones of train, decide what all headers and all pixels of train decide otherwise.

The digest covers the source's files (names, sizes, times of change), what was asked for (the
resolution, whether corrupt images are left out, and how much is kept), and what decodes them; so a
file that changes, comes or goes makes another folder. Each split is a slice of the file in its
final, stratified order, which is why the seed is in the name.

A folder is written under another name and renamed when it is complete, by one process at a time.
Then the folders of the same source as it was before its files changed are deleted. The rest, such
as that of a source that is gone, can be deleted whenever no search is at work.

Shape suffixes: N images, C channels, H W pixels, V the 256 pixel values.
"""

import errno
import hashlib
import json
import logging
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from filelock import Timeout

from nas.data._base import (
    HELD_GB,
    NUM_CALIBRATION_IMAGES,
    DataSet,
    Int64Array,
    Request,
    Split,
    UInt8Array,
    statistics_of,
)
from nas.data._damaged import SoundSource, undecodable
from nas.data._decode import quietly
from nas.data._entries import ENTRIES, SomeEntries, has_entries, write_entries
from nas.data._load import label_of
from nas.data._look import Look, look_of, ranges_of
from nas.data._pixels import write_images
from nas.data._ranges import in_words, read_ranges
from nas.data._resize import OWN_RESOLUTIONS
from nas.data._source import AbstractSource, check_index, deal, splits_note
from nas.data._streamed import StreamedImages
from nas.system.files import file_lock, write_json
from search_spaces import read_sides

SCHEMA = 3
"""Goes up when the same files give other pixels, labels or splits than before."""

SPLITS = ("train", "search", "test")
IMAGES, LABELS, FACTS = "images.npy", "labels.npy", "facts.json"

LOOKED_AT, KEPT = 10_000, 4096
"""Of streamed images: about how many headers are read, and how many images of train are kept."""

MOST_BYTES = 3 * OWN_RESOLUTIONS[-1] ** 2
"""Of an image whose size nobody asked for."""

Rows = Mapping[str, Int64Array]
"""By split, places of its images in reading order."""

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
    if request.held_gb != HELD_GB:
        asked += f" {request.held_gb:g} GB"
    digest = hashlib.sha256(f"{SCHEMA} {PIL.__version__} {asked}\n".encode())
    digest.update(os.fsencode(f"{source.path.absolute()}\n"))
    for line in source.stamps():
        digest.update(os.fsencode(line))
    return digest.hexdigest()[:16]


def _origin(source: AbstractSource, request: Request) -> dict[str, Any]:
    """What stays the same when the files of a source change."""
    return {
        "source": str(source.path.absolute()),
        "asked": request.resolution,
        "skip_corrupt": request.skip_corrupt,
        "held_gb": request.held_gb,
    }


def _delete_outdated(folder: Path, source: AbstractSource, request: Request) -> None:
    """Delete what was decoded from the same source before its files, or this program, changed.

    A process that has such a file mapped keeps it until it ends.
    """
    origin, digest = _origin(source, request), folder.name.rpartition("-")[0]
    earlier = {"skip_corrupt": False, "held_gb": HELD_GB}  # before there was a choice
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
        return _data_set(name, facts, images_NCHW, labels_N, folder.absolute())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, LookupError, TypeError, EOFError, RecursionError) as error:
        _log.warning("data '%s': '%s' is damaged (%s) and made anew.", name, folder, error)
        return None


def _data_set(
    name: str,
    facts: Mapping[str, Any],
    images_NCHW: UInt8Array,
    labels_N: Int64Array,
    folder: Path,
) -> DataSet:
    sides = read_sides(facts["resolution"])
    num_train, *others = facts["sizes"]
    kept = facts.get("kept", num_train)
    shape = (sum(facts["sizes"]), facts["channels"], *sides)
    kept_shape = (kept + sum(others), *shape[1:])
    if images_NCHW.shape != kept_shape or labels_N.shape != shape[:1]:
        raise ValueError(f"images {images_NCHW.shape}, labels {labels_N.shape}, not {kept_shape}")
    # NOTE: a plain view of the mapped file, because slices of np.memmap are slow to make.
    pixels: list[Any] = np.split(images_NCHW.view(np.ndarray), np.cumsum([kept, *others[:-1]]))
    if "kept" in facts:
        pixels[0] = _streamed((num_train, *shape[1:]), facts, folder)
    labels = np.split(labels_N, np.cumsum([num_train, *others[:-1]]))
    train, search, test = map(Split, pixels, labels)
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


def _streamed(shape: tuple[int, ...], facts: Mapping[str, Any], folder: Path) -> StreamedImages:
    """Those of train, of this shape.

    Raises:
        FileNotFoundError: If what they are decoded from is not there.
    """
    (folder / ENTRIES).stat()
    job = {
        "folder": str(folder),
        "is_grey": facts["channels"] == 1,
        **{name: facts[name] for name in ("source", "are_paths", "resolution", "ranges")},
    }
    return StreamedImages(shape, folder / IMAGES, facts["kept"], job)


def _write(source: AbstractSource, request: Request, folder: Path) -> None:
    """Decode a source into a folder of the cache, which appears whole or not at all."""
    index, num_corrupt = source.index(), 0
    with quietly():
        if request.skip_corrupt:
            damaged = undecodable(source, request.progress, index.num_images)
            source, num_corrupt = SoundSource(source, damaged), len(damaged)
            index = source.index()
        check_index(index, source.path)
        look, is_streamed = _looked_at(source, request, index.num_images)
        request.accept(look.resolution, look.channels, len(index.classes))
        rows = deal(index, request.seed)
        left_out = max(0, len(rows["train"]) - KEPT) if is_streamed else 0
        _check_space(request.cache, _decoded_bytes(look, index.num_images - left_out))
        part = folder.with_name(f".{folder.name}.part")
        part.mkdir()
        try:
            decoded = _write_streamed if is_streamed else _write_held
            found = decoded(source, request, look, rows, part)
            order_N = np.concatenate([rows[split] for split in SPLITS])
            np.save(part / LABELS, np.concatenate([*index.labels.values()])[order_N])
            notes = [splits_note(index, len(rows["test"])), look.note(), in_words(found["ranges"])]
            if is_streamed:
                size_gb = _decoded_bytes(look, len(order_N)) / 1e9
                notes.append(f"{size_gb:.3g} GB: train is decoded while training runs")
            facts = {
                "schema": SCHEMA,
                **_origin(source, request),
                "classes": index.classes,
                "sizes": [len(rows[split]) for split in SPLITS],
                "channels": look.channels,
                "resolution": look.resolution,
                "resize": look.resize,
                "corrupt": num_corrupt,
                **found,
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


def _looked_at(source: AbstractSource, request: Request, num_images: int) -> tuple[Look, bool]:
    """What the images have in common, and whether those of train are streamed."""
    held_bytes = request.held_gb * 1e9
    asked = request.resolution
    most_bytes = 3 * math.prod(read_sides(asked)) if asked else MOST_BYTES
    if num_images * most_bytes <= held_bytes or not has_entries(source):
        return look_of(source, request, num_images), False
    every = max(1, num_images // LOOKED_AT)
    look = look_of(source, request, num_images, every=every)
    if _decoded_bytes(look, num_images) > held_bytes:
        return look, True
    return look if every == 1 else look_of(source, request, num_images), False


def _decoded_bytes(look: Look, num_images: int) -> int:
    return num_images * look.channels * math.prod(read_sides(look.resolution))


def _write_held(
    source: AbstractSource, request: Request, look: Look, rows: Rows, part: Path
) -> dict[str, Any]:
    """Decode all images; what the pixels of train say, as facts."""
    num_images, num_train = sum(map(len, rows.values())), len(rows["train"])
    ranges = ranges_of(source, request, rows["train"], num_images) if look.kinds else {}
    order_N = np.concatenate([rows[split] for split in SPLITS])
    counts_CV = write_images(
        *(source, look, ranges, order_N, part / IMAGES),
        num_train=num_train,
        progress=request.progress,
    )
    mean, std = statistics_of(counts_CV)
    return {"mean": mean, "std": std, "ranges": ranges}


def _write_streamed(
    source: AbstractSource, request: Request, look: Look, rows: Rows, part: Path
) -> dict[str, Any]:
    """Keep what is needed to decode any image, and decode all but most of train; facts as above."""
    order_N = np.concatenate([rows[split] for split in SPLITS])
    num_train = len(rows["train"])
    num_kept = min(KEPT, num_train)
    kept_N = np.r_[:num_kept, num_train : len(order_N)]
    entries = write_entries(source, order_N, part, request.progress)
    stops = np.cumsum([num_kept, len(rows["search"])])
    in_kept = dict(zip(SPLITS, np.split(np.arange(len(kept_N)), stops), strict=True))
    kept = SomeEntries(source, entries, kept_N)
    found = _write_held(kept, request, look, in_kept, part)
    return {**found, "kept": num_kept, "are_paths": entries.are_paths}


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
