"""What the images of a source have in common."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np

from nas.data._base import Int64Array, Ranges, Request
from nas.data._damaged import or_damage, undecodable
from nas.data._decode import Header, read_header, value_ends
from nas.data._files import DamagedError, refuse_damaged
from nas.data._parallel import Named, in_parallel
from nas.data._ranges import range_of
from nas.data._resize import MANY_CUT, by, choose_resolution, crop_rule, reduced
from nas.data._source import AbstractSource
from search_spaces import Resolution, Sides, read_sides


@dataclass(frozen=True)
class Look:
    """What all images have in common.

    Attributes:
        channels: 1 if all are grey, else 3.
        resolution: To which they are brought.
        resize: How, in words.
        sizes: Which they have, in words; "" if all are squares of one size, or nothing is done.
        better: A size that would keep more of most images than the squares that nobody asked for;
            None if there is none.
        kinds: Of values that are no bytes.
    """

    channels: int
    resolution: Resolution
    resize: str
    sizes: str
    better: Resolution | None
    kinds: frozenset[str]

    def note(self) -> str:
        """What becomes of images of other shapes, in words; "" if there are none."""
        size = by(read_sides(self.resolution), " px")
        become = f"images of {self.sizes} become {size}: {self.resize}"
        better = f"; --resolution {self.better} would keep more of most" if self.better else ""
        return f"{become}{better}" if self.sizes else ""


def look_of(source: AbstractSource, request: Request, num_images: int, *, every: int = 1) -> Look:
    """Channels, resolution and kinds of values, from the headers of images.

    Args:
        source: The images.
        request: Resolution, and who is told how far reading is.
        num_images: Of the source.
        every: 1 for all images; 10 for every tenth one.
    """
    kinds: set[str] = set()
    sizes: Counter[Sides] = Counter()
    is_grey = True
    damaged: list[DamagedError] = []

    def headers(start: int, images: list[Named]) -> list[Header | DamagedError]:
        return [or_damage(partial(read_header, content, where)) for where, content in images]

    done = 0
    for size, found in in_parallel(headers, islice(source.images(), 0, None, every)):
        damaged += [header for header in found if isinstance(header, DamagedError)]
        sound = [header for header in found if isinstance(header, Header)]
        is_grey = is_grey and all(header.is_grey for header in sound)
        kinds |= {header.kind for header in sound if header.kind}
        sizes.update((header.height, header.width) for header in sound)
        done += size * every
        request.progress(min(done, num_images), num_images, "images looked at")
    if damaged:  # others may be so beyond their headers
        all_damaged = undecodable(source, request.progress, num_images) if every == 1 else {}
        refuse_damaged([*all_damaged.values()] or damaged, source.path)
    median_side = int(np.median([min(size) for size in sizes.elements()]))
    resolution = request.resolution or choose_resolution(sizes, median_side)
    resize = crop_rule(sizes, resolution)
    return Look(
        channels=1 if is_grey else 3,
        resolution=resolution,
        resize=resize,
        sizes="" if resize == "none" else _said(sizes),
        better=None if request.resolution else _better(sizes),
        kinds=frozenset(kinds),
    )


def ranges_of(source: AbstractSource, request: Request, train_N: Int64Array, of: int) -> Ranges:
    """Black and white of the values that are no bytes, as the training images decide them.

    Images that cannot be decoded are passed over: whoever decodes them all names them.

    Args:
        source: The images.
        request: Told how far reading is.
        train_N: Places of the training images in reading order.
        of: Number of all images.
    """
    is_train = frozenset(train_N.tolist())
    found: dict[str, list[tuple[float, float]]] = {}

    def work(start: int, images: list[Named]) -> list[tuple[str, tuple[float, float]]]:
        return [
            (header.kind, ends)
            for number, (where, content) in enumerate(images, start)
            if number in is_train
            and isinstance(header := or_damage(partial(read_header, content, where)), Header)
            and header.kind
            and isinstance(ends := or_damage(partial(value_ends, content, where)), tuple)
        ]

    done = 0
    for size, batch in in_parallel(work, source.images()):
        for kind, ends in batch:
            found.setdefault(kind, []).append(ends)
        done += size
        request.progress(done, of, "images measured")
    decided = {
        kind: range_of(kind, min(low for low, _ in pairs), max(high for _, high in pairs))
        for kind, pairs in sorted(found.items())
    }
    return {kind: pair for kind, pair in decided.items() if pair is not None}


def _better(sizes: Counter[Sides]) -> Resolution | None:
    """The size that the median image of several shapes has, unless it is nearly a square."""
    if len(sizes) == 1:
        return None
    height, width = (int(side) for side in np.median(list(sizes.elements()), axis=0))
    return reduced((height, width)) if max(height, width) > MANY_CUT * min(height, width) else None


def _said(sizes: Collection[Sides]) -> str:
    """Heights and widths of images in words; "" if all are squares of one size."""
    if len(sizes) > 1:
        sides = [side for size in sizes for side in size]
        return f"{len(sizes)} sizes, {min(sides)} to {max(sides)} px wide or high,"
    (size,) = sizes
    return "" if size[0] == size[1] else by(size, " px")
