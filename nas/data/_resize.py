"""The one rule by which images are brought to another size: Pillow's bilinear filter on uint8.

Pillow widens the filter when it shrinks an image, so it also antialiases. Of an image whose ratio
of height to width is another one, the centre of the wanted ratio is taken first: of a square the
centre square, see `centre`.

Images that have one shape keep it, at a size that search spaces allow. Those of several shapes
become squares unless a size is asked for: photos of one camera lie and stand, and no other
rectangle would lose as little of both.
"""

from collections.abc import Collection

import numpy as np
from PIL import Image

from nas.data._base import UInt8Array
from search_spaces import Resolution, Sides, read_sides, written_sides

OWN_RESOLUTIONS = range(16, 257)
"""Sides that every search space allows: a data set of such images of one shape keeps its size."""

USUAL_RESOLUTIONS = (16, 24, 32, 48, 64, 96, 128, 160, 192, 224)
"""Of these, the largest that at least half of the images have is the shorter side of all others."""

MANY_CUT = 1.2
"""From this ratio of the sides of most images on, their user is told of a better size."""


def centre(own: Sides, wanted: Sides) -> tuple[int, int, int, int]:
    """Which part of an image is resized: the largest of the wanted ratio, in the middle.

    One side is the image's own, and the other what the ratio makes of it, rounded, halves up. What
    is cut off is one pixel more at the bottom or the right if it is an odd number.

    Args:
        own: Height and width of the image.
        wanted: Of what becomes of it.

    Returns:
        Top, left, height and width, pixels.
    """
    (in_height, in_width), (height, width) = own, wanted
    part_height = min(in_height, max(1, (2 * in_width * height + width) // (2 * width)))
    part_width = min(in_width, max(1, (2 * in_height * width + height) // (2 * height)))
    top, left = (in_height - part_height) // 2, (in_width - part_width) // 2
    return top, left, part_height, part_width


def fitted(
    image: Image.Image,
    resolution: Resolution,
    how: Image.Resampling = Image.Resampling.BILINEAR,
) -> Image.Image:
    """The image at this size."""
    height, width = read_sides(resolution)
    top, left, *part = centre((image.height, image.width), (height, width))
    if part != [image.height, image.width]:
        image = image.crop((left, top, left + part[1], top + part[0]))
    if part != [height, width]:
        image = image.resize((width, height), how)
    return image


def resize(images_NCHW: UInt8Array, resolution: Resolution) -> UInt8Array:
    """All images at this size, each channel on its own."""
    num_images, channels, *own = images_NCHW.shape
    height, width = read_sides(resolution)
    if own == [height, width]:
        return images_NCHW
    top, left, *part = centre((own[0], own[1]), (height, width))
    parts_NCHW = images_NCHW[:, :, top : top + part[0], left : left + part[1]]
    if part == [height, width]:
        return np.ascontiguousarray(parts_NCHW)
    planes = parts_NCHW.reshape(-1, *part)
    resized = np.empty((len(planes), height, width), np.uint8)
    for plane, out in zip(planes, resized, strict=True):
        image = Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR)
        out[:] = np.asarray(image)
    return resized.reshape(num_images, channels, height, width)


def resize_rule(own: int, resolution: Resolution) -> str:
    """What `resize` does to squares of `own` pixels, in words; "none" if it leaves them alone."""
    return crop_rule([(own, own)], resolution)


def choose_resolution(sizes: Collection[Sides], median_side: int) -> Resolution:
    """The size of the images of a data set whose user gave none.

    Args:
        sizes: The different heights and widths there are.
        median_side: Of the images' shorter sides.
    """
    if len(sizes) == 1:
        (own,) = sizes
        if all(side in OWN_RESOLUTIONS for side in own):
            return written_sides(own)
        if same_shape := reduced(own):
            return same_shape
    return max((r for r in USUAL_RESOLUTIONS if r <= median_side), default=USUAL_RESOLUTIONS[0])


def reduced(own: Sides) -> Resolution | None:
    """The largest usual size of this shape that spaces allow; None if it is too long for one."""
    shorter, longer = sorted(own)
    found = None
    for usual in USUAL_RESOLUTIONS:
        other = (2 * longer * usual + shorter) // (2 * shorter)
        if other in OWN_RESOLUTIONS and (found is None or usual <= shorter):
            found = (usual, other) if own[0] == shorter else (other, usual)
    return None if found is None else written_sides(found)


def crop_rule(sizes: Collection[Sides], resolution: Resolution) -> str:
    """What is done to images of these heights and widths, in words; "none" if nothing."""
    wanted = read_sides(resolution)
    parts = [(own, centre(own, wanted)[2:]) for own in sizes]
    if len(parts) == 1:
        ((own, part),) = parts
        if own == part:
            resized = f"Pillow bilinear on uint8, {by(own)} to {by(wanted)}"
            return "none" if own == wanted else resized
    if all(part == wanted for _, part in parts):
        return f"centre {shape_in_words(wanted)} of {by(wanted)}"
    return f"centre {part_in_words(wanted)}, Pillow bilinear on uint8 to {by(wanted)}"


def part_in_words(wanted: Sides) -> str:
    """The largest part of an image that has this shape."""
    if wanted[0] == wanted[1]:
        return "square of the shorter side"
    return f"rectangle of {wanted[0]} : {wanted[1]} (height : width), its sides rounded"


def shape_in_words(size: Sides) -> str:
    """Square or not."""
    return "square" if size[0] == size[1] else "rectangle"


def by(size: Sides, unit: str = "") -> str:
    """A size in words; of what is no square, which side is which."""
    which = "" if size[0] == size[1] else " (height x width)"
    return f"{size[0]} x {size[1]}{unit}{which}"
