"""One rule from input resolution to the shape of the pyramid.

The stem divides the side by 2 below 96 px and by 4 from there on; each further stage halves it,
rounding up, while the result is at least 4 px, up to four stages. The last map is therefore 4-8 px
for every resolution from 16 to 256: large enough that a 7x7 depthwise kernel trains most of its
taps and window attention has more than one token, small enough to be cheap. A space may offer other
strides of the stem; the number of stages stays, and their maps are larger or smaller.

Of images that are not square, the shorter side decides by how much the stem divides and how many
stages there are, so the last map is 4-8 px along it; both sides are divided alike.
"""

import re
from dataclasses import dataclass
from functools import cache

from search_spaces._errors import UserError
from search_spaces._sides import Resolution, Sides, read_sides, written_sides

MOST_PX = 10_000
"""Beyond what any network takes."""

WRITTEN = re.compile(r"[1-9]\d{0,4}(x[1-9]\d{0,4})?", re.ASCII)

SMALLEST, LARGEST = 16, 256
SMALLEST_SINGLE = 8
"""Of images whose maps all have their size."""

MAX_STAGES = 4
SMALLEST_MAP = 4
PREFERRED_WINDOWS = (7, 8, 6, 5, 4)
PADDED_WINDOW = 7


@dataclass(frozen=True)
class Pyramid:
    """Sizes of the maps of a network.

    Attributes:
        stem_stride: By how much the stem divides both sides of an image.
        sizes: Height and width of each stage's map, pixels.
    """

    stem_stride: int
    sizes: tuple[Sides, ...]


def resolution_of(size: object) -> Resolution:
    """A size of images as it is written, whatever a user gave: of "96x96" and (96, 96) 96.

    Args:
        size: A number, a text, or a pair of height and width.

    Raises:
        UserError: If it is no size.
    """
    text = "x".join(map(str, size)) if isinstance(size, list | tuple) else str(size)
    sides = read_sides(text) if WRITTEN.fullmatch(text) else (0, 0)
    if not 0 < min(sides) <= max(sides) <= MOST_PX:
        raise UserError(
            f"resolution {text[:40] or repr(text)} is not a size in pixels. Allowed: one number "
            "for squares, or height x width, such as 96x128, each side up to "
            f"{MOST_PX:,}. Leave it out to use the data's own size."
        )
    return written_sides(sides)


@cache
def pyramid(resolution: Resolution, stem_stride: int = 0) -> Pyramid:
    """The pyramid for images of this size.

    Args:
        resolution: Height and width as they are written, 96 or "96x128".
        stem_stride: A power of 2; 0 for that of the rule.

    Raises:
        UserError: If a side is outside 16-256 px.
    """
    sides = read_sides(resolution)
    if not SMALLEST <= min(sides) <= max(sides) <= LARGEST:
        raise UserError(
            f"resolution {resolution} px is outside {SMALLEST}-{LARGEST} px. "
            "Give another --resolution; images are resized to it."
        )
    shorter = min(sides)
    usual = 2 if shorter < 96 else 4
    num_stages = _num_stages(halved(shorter, times=usual // 2))
    stride = stem_stride or usual
    height, width = (halved(side, times=stride.bit_length() - 1) for side in sides)
    sizes = ((halved(height, times=i), halved(width, times=i)) for i in range(num_stages))
    return Pyramid(stride, tuple(sizes))


@cache
def single_map(resolution: Resolution) -> Pyramid:
    """The one map of networks that keep the size of the image.

    Raises:
        UserError: If a side is outside 8-256 px.
    """
    sides = read_sides(resolution)
    if not SMALLEST_SINGLE <= min(sides) <= max(sides) <= LARGEST:
        raise UserError(
            f"resolution {resolution} px is outside {SMALLEST_SINGLE}-{LARGEST} px, which networks "
            "that answer with images may see. Give another --resolution."
        )
    return Pyramid(1, (sides,))


def _num_stages(side: int) -> int:
    """How many maps there are from one of this side on, if each stage halves it."""
    number = 1
    while number < MAX_STAGES and halved(side) >= SMALLEST_MAP:
        side, number = halved(side), number + 1
    return number


def halved(size: int, *, times: int = 1) -> int:
    """The side after `times` convolutions of stride 2 with "same" padding: rounded up."""
    for _ in range(times):
        size = -(-size // 2)
    return size


def window_size(size: Sides) -> Sides:
    """Height and width of the attention windows on a map, each by the rule of `window_side`."""
    height, width = size
    return window_side(height), window_side(width)


def window_side(side: int) -> int:
    """How long a window is along a side of the map: a part of it if one of 4 to 8 px divides it.

    Sides of up to 8 px get one window: where both do, attention is global. Where nothing divides
    the side, the map is padded to windows of 7 px, unless one window costs fewer multiply-adds
    for any number of channels, which is so at 9 px: 9 * 9 < 14 * 7. This counts attention's
    products, padded side times window. Linear layers cost less without padding, how much less
    depends on the width, and all widths of a slot share the window's position bias.
    """
    if side <= max(PREFERRED_WINDOWS):
        return side
    whole = (window for window in PREFERRED_WINDOWS if side % window == 0)
    padded = -(-side // PADDED_WINDOW) * PADDED_WINDOW
    return next(whole, side if side * side < padded * PADDED_WINDOW else PADDED_WINDOW)
