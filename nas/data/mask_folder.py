"""Images and masks in two folders, files of one name belonging together: classes of pixels.

Layouts are those of `nas.data._mask_layout`; what is missing of the splits is held out of train, as
of other images, but without a look at classes. A file `classes.txt` beside the folders may name the
classes, one per line; else they are called by their numbers. Images without a mask are passed over,
and counted, and so are those of whose pixels, at the size that is asked for, none is of a class.

All images are held in memory, and decoded anew whenever they are read. Shape suffixes: N images,
C channels, H W pixels.
"""

import math
import os
from collections.abc import Container, Iterator, Mapping
from copy import copy
from dataclasses import replace
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import final

import numpy as np

from nas.data._base import (
    DATA,
    AbstractData,
    DataSet,
    MissingDataError,
    Ranges,
    Request,
    Split,
    UInt8Array,
)
from nas.data._damaged import or_damage, said_of_damaged, undecodable
from nas.data._decode import Content, decode, quietly
from nas.data._files import OWN_PATH, TRAIN, DamagedError, readable, refuse_damaged
from nas.data._look import Look, look_of, ranges_of
from nas.data._mask_layout import MASK_LAYOUT, MASK_SUFFIXES, mask_places
from nas.data._masks import read_masks
from nas.data._parallel import Named, in_parallel
from nas.data._ranges import in_words
from nas.data._source import HELD_OUT, AbstractSource, Index, deal, splits_note, stamp
from nas.data.image_folder import SUFFIXES
from search_spaces import IGNORED, UserError, read_sides

TASK = "segmentation"
NAMES = "classes.txt"


@final
@DATA.register
class MaskFolder(AbstractData):
    """A folder of images and masks."""

    def load(self, request: Request) -> DataSet:
        """List the folder, then read masks and images."""
        path = request.data_dir
        if path is None:
            raise MissingDataError(
                f"data 'mask-folder' needs a folder. Give its path: --data PATH. {MASK_LAYOUT}"
            )
        source = MaskedSource(path)
        with quietly():
            return _read(source, request, path.resolve().name or "data")

    def where(self, data_dir: Path | None) -> str:
        """See `AbstractData.where`."""
        return OWN_PATH


@final
class MaskedSource(AbstractSource):
    """Images that have masks, listed once."""

    def __init__(self, path: Path) -> None:
        places = mask_places(path)
        if TRAIN not in places:
            seen = f"has {', '.join(places)} and no train" if places else "has not both of them"
            raise UserError(f"data '{path}' is to hold images and masks, and {seen}. {MASK_LAYOUT}")
        self._path, self._alone = path, 0
        self._pairs: dict[str, list[tuple[str, str]]] = {}
        for split, folders in places.items():
            self._pairs[split], alone = _pairs_in(*folders)
            self._alone += alone
        self._check_enough()

    @property
    def path(self) -> Path:
        """The folder."""
        return self._path

    def stamps(self) -> Iterator[str]:
        """Of images and masks."""
        return (stamp(file, self._path) for pair in self.pairs() for file in pair)

    def index(self) -> Index:
        """One class, as images have none: classes are those of pixels."""
        labels = {split: np.zeros(len(pairs), np.int64) for split, pairs in self._pairs.items()}
        note = f"{self._alone} images without a mask were passed over" if self._alone else ""
        return Index(classes=("any",), labels=labels, note=note)

    def images(self) -> Iterator[tuple[str, Content]]:
        """Paths."""
        return ((image, image) for image, _ in self.pairs())

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Paths of images and of their masks."""
        return chain.from_iterable(self._pairs.values())

    def without(self, places: Container[int]) -> "MaskedSource":
        """A source of all but these images, by their places in reading order."""
        found, numbers = copy(self), count()
        found._pairs = {
            split: [pair for pair, n in zip(pairs, numbers, strict=False) if n not in places]
            for split, pairs in self._pairs.items()
        }
        found._check_enough()
        return found

    def _check_enough(self) -> None:
        needed = 1 + sum(split not in self._pairs for split in HELD_OUT)
        if len(self._pairs[TRAIN]) < needed:
            raise UserError(
                f"data '{self._path}': train has {len(self._pairs[TRAIN])} images with masks, and "
                f"{needed} are the least, as splits that are missing are held out of it. Add some."
            )


def _pairs_in(images: Path, masks: Path) -> tuple[list[tuple[str, str]], int]:
    """Files of the same names below two folders, by name; and how many images have no mask."""
    of_images, of_masks = _by_name(images, SUFFIXES), _by_name(masks, MASK_SUFFIXES)
    names = sorted(of_images.keys() & of_masks.keys())
    if not names:
        examples = [f"'{next(iter(files.values()))}'" for files in (of_images, of_masks) if files]
        raise UserError(
            f"data '{images}': no image has a mask of its name in '{masks}'"
            f"{': there are ' + ' and '.join(examples) if examples else ''}. Masks are "
            f"{', '.join(MASK_SUFFIXES)}. {MASK_LAYOUT}"
        )
    return [(of_images[name], of_masks[name]) for name in names], len(of_images) - len(names)


def _by_name(folder: Path, suffixes: tuple[str, ...]) -> Mapping[str, str]:
    """Paths of the files below a folder by their own below it, without the suffix."""
    found: dict[str, str] = {}
    with readable(folder):
        for place, folders, files in os.walk(folder):
            folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
            for file in sorted(files):
                stem, suffix = os.path.splitext(file)
                if file.startswith(".") or suffix.lower() not in suffixes:
                    continue
                name = os.path.relpath(os.path.join(place, stem), folder)
                if name in found:
                    raise UserError(
                        f"data '{folder}': '{found[name]}' and '{file}' have one name, so nobody "
                        "can say which of them is meant. Rename one."
                    )
                found[name] = os.path.join(place, file)
    return found


def _read(source: MaskedSource, request: Request, name: str) -> DataSet:
    path, undecoded = source.path, dict[int, DamagedError]()
    if request.skip_corrupt:
        undecoded = undecodable(source, request.progress, source.index().num_images)
        source = source.without(undecoded)
    index = source.index()
    number = index.num_images
    look = look_of(source, request, number)
    _check_memory(path, look, request, number)
    masks = read_masks(source.pairs(), number, look.resolution, request.progress)
    classes = _classes(path, masks.largest)
    request.accept(look.resolution, look.channels, len(classes))
    rows = deal(index, request.seed)
    ranges = ranges_of(source, request, rows["train"], number) if look.kinds else {}
    images_NCHW, wrong = _decoded(source, look, ranges, request, number)
    damaged = {**masks.damaged, **wrong}
    if not request.skip_corrupt:
        refuse_damaged([damaged[place] for place in sorted(damaged)], path)
    is_left_N = masks.has_classes_N.copy()
    is_left_N[list(damaged)] = False
    splits = {}
    for split, rows_N in rows.items():
        kept_N = rows_N[is_left_N[rows_N]]
        if not len(kept_N):
            raise UserError(
                f"data '{path}': no image of {split} is left that can be read and has a pixel of a "
                "class. Add images."
            )
        splits[split] = Split(images_NCHW[kept_N], masks.masks_N1HW[kept_N])
    notes = [splits_note(index, len(rows["test"])), look.note(), in_words(ranges), masks.note()]
    data = DataSet.of_splits(
        name,
        classes,
        can_flip=True,
        crop_padding=min(read_sides(look.resolution)) // 8,
        resize=look.resize,
        train=splits["train"],
        search=splits["search"],
        test=splits["test"],
        task=TASK,
    )
    left_out = [*undecoded.values(), *damaged.values()]
    note = "; ".join(filter(None, (*notes, said_of_damaged(left_out))))
    return replace(data, note=note, num_corrupt=len(left_out), ranges=ranges)


def _decoded(
    source: MaskedSource, look: Look, ranges: Ranges, request: Request, number: int
) -> tuple[UInt8Array, dict[int, DamagedError]]:
    """All images, and which cannot be read."""
    shape = (number, look.channels, *read_sides(look.resolution))
    images_NCHW: UInt8Array = np.zeros(shape, np.uint8)
    read = partial(decode, is_grey=look.channels == 1, resolution=look.resolution, ranges=ranges)

    def work(start: int, images: list[Named]) -> dict[int, DamagedError]:
        wrong = {}
        for place, (where, content) in enumerate(images, start):
            found = or_damage(partial(read, content, where))
            if isinstance(found, DamagedError):
                wrong[place] = found
            else:
                images_NCHW[place] = found
        return wrong

    damaged: dict[int, DamagedError] = {}
    done = 0
    for size, wrong in in_parallel(work, source.images()):
        damaged |= wrong
        done += size
        request.progress(done, number, "images decoded")
    return images_NCHW, damaged


def _check_memory(path: Path, look: Look, request: Request, number: int) -> None:
    size_gb = number * (look.channels + 1) * math.prod(read_sides(look.resolution)) / 1e9
    if size_gb > request.held_gb:
        raise UserError(
            f"data '{path}': images and masks take {size_gb:.3g} GB, and all must be held in "
            "memory. Give a lower --resolution, or raise held_gb in --config FILE.toml."
        )


def _classes(path: Path, largest: int) -> tuple[str, ...]:
    """Names of the classes.

    Raises:
        UserError: If they are fewer than two, or fewer than masks have.
    """
    if largest < 1:
        raise UserError(
            f"data '{path}': all pixels of its masks are of class 0 or {IGNORED}, which is "
            "ignored. There must be at least two classes to tell apart: number them 0, 1, ..."
        )
    file = path / NAMES
    if not file.is_file():
        return tuple(map(str, range(largest + 1)))
    with readable(file):
        names = tuple(filter(None, map(str.strip, file.read_text(encoding="utf-8").splitlines())))
    if len(names) <= largest or len(set(names)) < len(names):
        raise UserError(
            f"data file '{file}' names {len(set(names))} different classes, and masks have classes "
            f"0 to {largest}. Write one name per line, in the order of the numbers."
        )
    return names
