"""Boxes in images, as booleans. Shapes: B batch, H W space."""

import numpy as np


def boxes(rng: np.random.Generator, side_B: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Boxes shaped as the image around centres anywhere in it, cut at its borders: (B, H, W).

    Args:
        rng: Draws the centres.
        side_B: Of a box, as a share of the image's.
        size: Height and width of the images, pixels.
    """
    lengths = [np.rint(side_B * length).astype(np.int64) for length in size]
    starts = [
        rng.integers(0, length, len(side_B)) - length_B // 2
        for length, length_B in zip(size, lengths, strict=True)
    ]
    return _inside(starts, lengths, size)


def rectangles(
    rng: np.random.Generator, area_B: np.ndarray, ratio_B: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Rectangles that lie anywhere inside of the image: (B, H, W).

    Args:
        rng: Draws where.
        area_B: Pixels.
        ratio_B: Height divided by width; sides beyond the image's are cut.
        size: Height and width of the images, pixels.
    """
    wanted = (np.sqrt(area_B * ratio_B), np.sqrt(area_B / ratio_B))
    lengths = [
        np.rint(side_B).clip(1, length).astype(np.int64)
        for side_B, length in zip(wanted, size, strict=True)
    ]
    starts = [
        rng.integers(0, length - length_B + 1)
        for length, length_B in zip(size, lengths, strict=True)
    ]
    return _inside(starts, lengths, size)


def _inside(
    starts: list[np.ndarray], lengths: list[np.ndarray], size: tuple[int, int]
) -> np.ndarray:
    rows_BH, columns_BW = (
        (np.arange(length) >= start_B[:, None])
        & (np.arange(length) < (start_B + length_B)[:, None])
        for start_B, length_B, length in zip(starts, lengths, size, strict=True)
    )
    inside_BHW: np.ndarray = rows_BH[:, :, None] & columns_BW[:, None, :]
    return inside_BHW
