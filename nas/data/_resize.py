"""The one rule by which images are brought to another size: Pillow's bilinear filter on uint8.

Pillow widens the filter when it shrinks an image, so it also antialiases.
"""

import numpy as np
from PIL import Image

from nas.data._base import UInt8Array


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
