"""One rule from input resolution to the shape of the pyramid.

The stem divides the side by 2 below 96 px and by 4 from there on; each further stage halves it,
rounding up, while the result is at least 4 px, up to four stages. The last map is therefore 4-8 px
for every resolution from 16 to 256: large enough that a 7x7 depthwise kernel trains most of its
taps and window attention has more than one token, small enough to be cheap. A space may offer other
strides of the stem; the number of stages stays, and their maps are larger or smaller.
"""

from dataclasses import dataclass
from functools import cache

from search_spaces._errors import UserError
from search_spaces._sides import Sides

SMALLEST, LARGEST = 16, 256
MAX_STAGES = 4
SMALLEST_MAP = 4
PREFERRED_WINDOWS = (7, 8, 6, 5, 4)
PADDED_WINDOW = 7


@dataclass(frozen=True)
class Pyramid:
    """Sides, in pixels, of the square maps of a network.

    Attributes:
        stem_stride: By how much the stem divides the resolution.
        sizes: Side of each stage's map.
    """

    stem_stride: int
    sizes: tuple[int, ...]


@cache
def pyramid(resolution: int, stem_stride: int = 0) -> Pyramid:
    """The pyramid for square inputs of this side.

    Args:
        resolution: Side of the input, pixels.
        stem_stride: A power of 2; 0 for that of the rule.

    Raises:
        UserError: If the resolution is outside 16-256 px.
    """
    if not SMALLEST <= resolution <= LARGEST:
        raise UserError(
            f"resolution {resolution} px is outside {SMALLEST}-{LARGEST} px. "
            "Give another --resolution; images are resized to it."
        )
    usual = 2 if resolution < 96 else 4
    sides = _halvings(halved(resolution, times=usual // 2))
    stride = stem_stride or usual
    first = halved(resolution, times=stride.bit_length() - 1)
    return Pyramid(stride, tuple(halved(first, times=i) for i in range(len(sides))))


def _halvings(side: int) -> list[int]:
    """The side, and its halves as long as a stage may have them."""
    sides = [side]
    while len(sides) < MAX_STAGES and halved(sides[-1]) >= SMALLEST_MAP:
        sides.append(halved(sides[-1]))
    return sides


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
