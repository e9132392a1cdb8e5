"""`nas.preprocess`: from an image of any kind to what a network takes, as its card says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nas.data._base import FloatArray, normalised
from nas.data._decode import Content, decode, quietly
from nas.data._ranges import read_ranges
from nas.data.npz import channels_last, check_array
from nas.front.card import check_card
from search_spaces import UserError, resolution_of

GREY, RGB = 1, 3


def preprocess(
    card: Mapping[str, Any], image: str | Path | Image.Image | npt.NDArray[Any]
) -> FloatArray:
    """The input of a network for one image, (1, C, H, W): bit by bit what training made of it.

    Turned upright, without transparency, grey or RGB, the centre, resized, normalised: the card's
    `input.resize` says how. Colours become grey where all images of training were grey.

    Args:
        card: As in a member's card.json.
        image: A file, an image of Pillow's, or pixels: uint8 or uint16, (H, W), (H, W, C) or
            (C, H, W) with 1, 3 or 4 channels.

    Raises:
        UserError: If the card is none or is for another kind of images, or the image cannot be
            read.
    """
    check_card(card, place="card")
    rule = card["input"]
    shape = rule["shape"]
    if len(shape) != 4 or shape[1] not in (GREY, RGB):
        raise UserError(
            f"card: field 'input.shape' is {shape}. Images have {GREY} channel or {RGB}: prepare "
            "the input of this network yourself."
        )
    try:
        ranges = read_ranges(rule.get("ranges", {}))
    except ValueError as error:
        raise UserError(f"card: field 'input.ranges': {error}. Export the model again.") from error
    content, where = _content_of(image)
    with quietly():
        pixels_CHW = decode(
            content,
            where,
            is_grey=shape[1] == GREY,
            resolution=resolution_of(shape[2:]),
            ranges=ranges,
        )
    return normalised(pixels_CHW[None], rule["mean"], rule["std"], scale=rule["scale"])


def _content_of(
    image: str | Path | Image.Image | npt.NDArray[Any],
) -> tuple[Content | Image.Image, str]:
    """The image as decoders take it, and what messages call it."""
    if isinstance(image, str | Path):
        return str(image), str(image)
    if isinstance(image, Image.Image):
        return image, "image"
    if not isinstance(image, np.ndarray):
        raise UserError(
            f"image is {type(image).__name__}. It must be a path, an image of Pillow's or an array."
        )
    images_N = image[None]
    check_array("image", images_N, "preprocess")
    return channels_last(images_N)[0], "image"
