"""The one rule by which images are brought to another size: Pillow's bilinear filter on uint8.

Pillow widens the filter when it shrinks an image, so it also antialiases. Of an image that is not
square, the centre square is taken first.
"""

from collections.abc import Collection

import numpy as np
from PIL import Image

from nas.data._base import UInt8Array

OWN_RESOLUTIONS = range(16, 257)
"""What every search space allows: a data set of such squares keeps its size."""

USUAL_RESOLUTIONS = (16, 24, 32, 48, 64, 96, 128, 160, 192, 224)
"""Of these, the largest that at least half of the images have is taken for all others."""


def resize(images_NCHW: UInt8Array, resolution: int) -> UInt8Array:
    """Squares of `resolution` pixels, each channel resized on its own."""
    num_images, channels, height, width = images_NCHW.shape
    if (height, width) == (resolution, resolution):
        return images_NCHW
    planes = images_NCHW.reshape(-1, height, width)
    resized = np.empty((len(planes), resolution, resolution), np.uint8)
    for plane, out in zip(planes, resized, strict=True):
        image = Image.fromarray(plane).resize((resolution, resolution), Image.Resampling.BILINEAR)
        out[:] = np.asarray(image)
    return resized.reshape(num_images, channels, resolution, resolution)


def resize_rule(own: int, resolution: int) -> str:
    """What `resize` does to images of `own` pixels, in words; "none" if it leaves them alone."""
    if own == resolution:
        return "none"
    return f"Pillow bilinear on uint8, {own} x {own} to {resolution} x {resolution}"


def choose_resolution(sizes: Collection[tuple[int, int]], median_side: int) -> int:
    """The resolution in pixels of a data set whose user gave none.

    Args:
        sizes: The different widths and heights there are.
        median_side: Of the images' shorter sides.
    """
    if len(sizes) == 1:
        ((width, height),) = sizes
        if width == height and width in OWN_RESOLUTIONS:
            return width
    return max((r for r in USUAL_RESOLUTIONS if r <= median_side), default=USUAL_RESOLUTIONS[0])


def crop_rule(sizes: Collection[tuple[int, int]], resolution: int) -> str:
    """What is done to images of these widths and heights, in words; "none" if nothing."""
    if len(sizes) == 1:
        ((width, height),) = sizes
        if width == height:
            return resize_rule(width, resolution)
    if all(min(size) == resolution for size in sizes):
        return f"centre square of {resolution} x {resolution}"
    return (
        "centre square of the shorter side, "
        f"Pillow bilinear on uint8 to {resolution} x {resolution}"
    )
