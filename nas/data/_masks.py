"""Masks: from files of numbers to arrays of one size.

A mask is a picture whose pixels are numbers of classes: of a palette (the numbers, not the colours)
or grey, in a format that keeps them. It is cut and resized as its image is, but every pixel takes
the number of the nearest one. Shape suffixes: N images, H W pixels.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import Image

from nas.data._base import Progress, UInt8Array
from nas.data._damaged import or_damage
from nas.data._decode import read_header
from nas.data._files import DamagedError, readable
from nas.data._parallel import Named, in_parallel
from nas.data._resize import by, fitted
from search_spaces import IGNORED, Resolution, Sides, UserError, read_sides

MASK_FORMATS = ("PNG", "TIFF", "GIF", "BMP")
"""That keep numbers as they are."""

NUMBERED = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B")
"""Modes of Pillow's whose pixels are one number each."""


def read_mask(path: str, sides: Sides) -> Image.Image:
    """A mask as grey bytes.

    Args:
        path: Of its file.
        sides: Height and width of its image.

    Raises:
        UserError: If it is no mask, or of another size than its image.
    """
    with readable(path), Image.open(path, formats=MASK_FORMATS) as image:
        if image.mode not in NUMBERED:
            raise UserError(
                f"mask '{path}' has colours (mode {image.mode}), not numbers of classes. Write one "
                f"number per pixel, grey or of a palette, from 0; {IGNORED} is ignored."
            )
        image.load()
        numbers = np.asarray(image).astype(np.int64)
    if not 0 <= numbers.min() <= numbers.max() <= IGNORED:
        raise UserError(
            f"mask '{path}' has numbers from {numbers.min()} to {numbers.max()}. Classes are 0 to "
            f"{IGNORED - 1}, and {IGNORED} is ignored. Number them so."
        )
    if numbers.shape != sides:
        height, width = numbers.shape
        raise UserError(
            f"mask '{path}' is {by((height, width))} pixels, and its image {by(sides)}. They must "
            "be of one size."
        )
    return Image.fromarray(numbers.astype(np.uint8))


def fitted_mask(mask: Image.Image, resolution: Resolution) -> UInt8Array:
    """A mask (1, H, W) at this size."""
    return np.asarray(fitted(mask, resolution, Image.Resampling.NEAREST))[None]


def masks_at(masks_N1HW: UInt8Array, resolution: Resolution) -> UInt8Array:
    """All masks at this size."""
    return np.stack([fitted_mask(Image.fromarray(mask[0]), resolution) for mask in masks_N1HW])


@dataclass(frozen=True, eq=False)
class MaskArrays:
    """Masks of one size.

    Attributes:
        masks_N1HW: All of them; of those that cannot be read every pixel is ignored.
        largest: Number of a class in any of them, at its own size; -1 if there is none.
        damaged: By place, why one cannot be read.
    """

    masks_N1HW: UInt8Array
    largest: int
    damaged: Mapping[int, DamagedError]

    @property
    def has_classes_N(self) -> npt.NDArray[np.bool_]:
        """Which masks have a pixel that is of a class."""
        found: npt.NDArray[np.bool_] = (self.masks_N1HW != IGNORED).any(axis=(1, 2, 3))
        return found

    def note(self) -> str:
        """What says no class of any pixel, in words; "" if all do."""
        empty = len(self.masks_N1HW) - int(self.has_classes_N.sum()) - len(self.damaged)
        words = ("image", "is") if empty == 1 else ("images", "are")
        return f"{empty} {words[0]} without a pixel of a class {words[1]} left out" if empty else ""


def read_masks(
    pairs: Iterable[tuple[str, str]], number: int, resolution: Resolution, progress: Progress
) -> MaskArrays:
    """The masks of images, at the size to which these are brought.

    Args:
        pairs: Paths of images and of their masks.
        number: Of them.
        resolution: Height and width of the result.
        progress: Told how many are decoded.

    Raises:
        UserError: If one has no numbers of classes, or is of another size than its image.
    """
    masks_N1HW: UInt8Array = np.full((number, 1, *read_sides(resolution)), IGNORED, np.uint8)

    def read(image: str, mask: str) -> tuple[UInt8Array, int]:
        header = read_header(image, image)
        found = read_mask(mask, (header.height, header.width))
        numbers = np.unique(np.asarray(found)).astype(int)
        return fitted_mask(found, resolution), int(numbers[numbers < IGNORED].max(initial=-1))

    def work(start: int, several: list[Named]) -> list[tuple[UInt8Array, int] | DamagedError]:
        return [or_damage(partial(read, image, str(mask))) for image, mask in several]

    damaged: dict[int, DamagedError] = {}
    largest, done = -1, 0
    for size, several in in_parallel(work, pairs):
        for place, found in enumerate(several, done):
            if isinstance(found, DamagedError):
                damaged[place] = found
            else:
                masks_N1HW[place], highest = found
                largest = max(largest, highest)
        done += size
        progress(done, number, "masks decoded")
    return MaskArrays(masks_N1HW, largest, damaged)
