"""From an image in any mode, size and format that Pillow reads to grey or RGB bytes of one size.

In this order:

1. Turned upright as its EXIF orientation says.
2. 16-bit and float values become bytes by one rule for the whole data set (see `_ranges`).
3. Transparency is laid on white.
4. Grey if all images of the data set are grey, RGB otherwise. Palettes count as RGB.
5. Its centre, of the wanted ratio of sides, is resized by Pillow's bilinear filter (see `_resize`).

Shape suffixes: C channels, H W pixels.
"""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from nas.data._base import Ranges, UInt8Array
from nas.data._files import readable
from nas.data._ranges import FLOAT, WHOLE, Values, eight_bit, ends, values_in_words
from nas.data._resize import by, fitted, part_in_words
from search_spaces import Resolution, read_sides

Content = str | bytes | Values
"""An image as its file's path, as its file's bytes, or as pixels (H, W) or (H, W, C), uint8 or
uint16."""

EXIF_ORIENTATION, UPRIGHT_ALREADY = 0x0112, 1
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ON_ITS_SIDE = (5, 6, 7, 8)
SIXTEEN_BIT = ("I", "I;16", "I;16L", "I;16B", "I;16N")
KIND_OF_MODE = {**dict.fromkeys(SIXTEEN_BIT, WHOLE), "F": FLOAT}
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "DIB", "TGA")
"""What files may be, whatever their names say: pictures that Pillow decodes in this process. It
would hand others, such as PostScript, to a program of the system."""

GREY = ("1", "L", "LA", "La", *KIND_OF_MODE)
WITH_ALPHA = ("RGBA", "RGBa", "LA", "La", "PA")
USUAL: Ranges = {}
"""Of a data set whose training images decided nothing."""


@dataclass(frozen=True)
class Header:
    """What is known of an image before it is decoded.

    Attributes:
        height: Pixels, upright.
        width: Likewise.
        is_grey: Whether it has no colours.
        kind: Of its values, if they are no bytes, as ranges name it; "" for bytes.
    """

    height: int
    width: int
    is_grey: bool
    kind: str


def read_header(content: Content, where: str) -> Header:
    """Mode and size of an image, without its pixels.

    Args:
        content: The image.
        where: What it is called in a message.

    Raises:
        UserError: If it is no image.
    """
    with readable(where):
        if isinstance(content, np.ndarray):
            height, width, *channels = content.shape
            return Header(height, width, not channels, _kind_of(content))
        with _opened(content, USUAL) as image:
            width, height = image.size[::-1] if _is_on_its_side(image) else image.size
            return Header(height, width, image.mode in GREY, KIND_OF_MODE.get(image.mode, ""))


def value_ends(content: Content, where: str) -> tuple[float, float]:
    """The smallest and the largest value of an image whose values are no bytes.

    Raises:
        UserError: If it cannot be decoded.
    """
    with readable(where):
        if isinstance(content, np.ndarray):
            return ends(content, _kind_of(content))
        with _opened(content, USUAL) as image:
            return ends(np.asarray(image), KIND_OF_MODE[image.mode])


def decode(
    content: Content | Image.Image,
    where: str,
    *,
    is_grey: bool,
    resolution: Resolution,
    ranges: Ranges = USUAL,
) -> UInt8Array:
    """An image (C, H, W) by the rule at the top of this module.

    Args:
        content: The image; one of Pillow's stays open.
        where: What it is called in a message.
        is_grey: Whether to make it grey, which those of a grey data set are; of colours, the luma
            of ITU-R 601-2 is left.
        resolution: Height and width of the result in pixels, as they are written.
        ranges: Of the data set.

    Raises:
        UserError: If it cannot be decoded.
    """
    with readable(where), _opened(content, ranges) as image:
        image.load()
        plain = _plain(_upright(image), "L" if is_grey else "RGB", ranges)
        pixels = np.asarray(fitted(plain, resolution))
    return pixels[None] if is_grey else pixels.transpose(2, 0, 1)


def rule_in_words(channels: int, resolution: Resolution, ranges: Ranges) -> str:
    """The rule at the top of this module, for a card."""
    size = read_sides(resolution)
    values = [] if WHOLE in ranges else ["16-bit values v become rint(v / 257)"]
    values += [
        f"{values_in_words(kind, white)} v become rint(255 * (v - {black:.9g}) / "
        f"{white - black:.9g}), from 0 to 255"
        for kind, (black, white) in ranges.items()
    ]
    colours = {1: "grey (of colours the luma of ITU-R 601-2)", 3: "RGB"}
    return (
        f"turned upright as the EXIF orientation says; {'; '.join(values)}; "
        f"transparency is laid on white; {colours.get(channels, f'{channels} channels')}; centre "
        f"{part_in_words(size)}; Pillow's bilinear filter on uint8, which antialiases, to "
        f"{by(size)}"
    )


@contextmanager
def quietly() -> Iterator[None]:
    """Without Pillow's warnings: about metadata that is not used, and sizes up to its own limit."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _opened(content: Content | Image.Image, ranges: Ranges) -> AbstractContextManager[Image.Image]:
    if isinstance(content, Image.Image):
        return nullcontext(content)
    if isinstance(content, np.ndarray):
        kind = _kind_of(content)
        return Image.fromarray(eight_bit(content, kind, ranges) if kind else content)
    size = os.stat(content).st_size if isinstance(content, str) else len(content)
    if size == 0:
        raise ValueError("it is empty")
    try:
        return Image.open(
            content if isinstance(content, str) else io.BytesIO(content), formats=_known_formats()
        )
    except Image.UnidentifiedImageError as error:
        raise ValueError("it is no image of a kind that is known") from error


def _kind_of(pixels: Values) -> str:
    return WHOLE if pixels.dtype == np.uint16 else ""


@cache
def _known_formats() -> tuple[str, ...]:
    """Those of the formats that this Pillow knows; TGA, which has no mark of its own, is last."""
    Image.init()
    return tuple(kind for kind in FORMATS if kind in Image.OPEN)


def _upright(image: Image.Image) -> Image.Image:
    orientation = _orientation(image)
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _is_on_its_side(image: Image.Image) -> bool:
    """Whether height and width change places when it is turned upright."""
    # NOTE: Pillow turns TIFF's sizes itself; a PNG's orientation may stand behind all its pixels,
    # which are not decoded for that.
    is_late = image.format == "PNG" and "exif" not in image.info
    return not is_late and image.format != "TIFF" and _orientation(image) in ON_ITS_SIDE


def _orientation(image: Image.Image) -> int:
    try:
        orientation: int = image.getexif().get(EXIF_ORIENTATION, UPRIGHT_ALREADY)
    # NOTE: the pixels are sound where the metadata are not.
    except Exception:
        return UPRIGHT_ALREADY
    return orientation


def _plain(image: Image.Image, mode: str, ranges: Ranges) -> Image.Image:
    """The same in mode L or RGB, without transparency."""
    if image.mode in KIND_OF_MODE:
        image = Image.fromarray(eight_bit(np.asarray(image), KIND_OF_MODE[image.mode], ranges))
    elif image.mode in WITH_ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    return image if image.mode == mode else image.convert(mode)
