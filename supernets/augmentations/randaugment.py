"""RandAugment: a few operations in a row, drawn for every image, all at one magnitude.

Source: Cubuk et al., RandAugment (2019), section 3, with the ranges of the authors' code at its
magnitudes of 0 to 10. Departures: operations are bilinear tensor operations, contrast, colour,
brightness and sharpness go up or down, and what comes in from beyond the border is grey.

Shapes: B batch (in an operation, those images that take it), C channels, H W space, V 256 values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from search_spaces import check_ranges
from supernets.augmentations._base import AUGMENTATIONS, AbstractAugmentation, Varied

MOST = 10
"""Magnitude."""

Operation = Callable[[Tensor, Tensor], Tensor]
"""Of images between 0 and 1 and levels (B,) between -1 and 1, whose sign not all look at."""

DEGREES, SHEAR, SHIFT, STRENGTH = 30.0, 0.3, 0.3, 0.9
"""At level 1: rotation, shear, shift as a share of the side, and change of a factor from 1."""

MOST_BITS_LOST = 4
LUMA = (0.299, 0.587, 0.114)
GREY = 0.5


@final
@AUGMENTATIONS.register
@dataclass(frozen=True, kw_only=True)
class RandAugment(AbstractAugmentation):
    """Random operations of one magnitude.

    Attributes:
        count: Operations in a row.
        magnitude: Of all of them, from 0 to 10.
    """

    count: int = 2
    magnitude: float = 9.0

    def __post_init__(self) -> None:
        check_ranges(self, "augmentation 'randaugment'", count=(1, 8), magnitude=(0.0, MOST))

    def __call__(self, batch: Varied, rng: np.random.Generator) -> Varied:
        """Every image takes each operation with the same chance, each time."""
        images_BCHW = batch.images_BCHW
        for _ in range(self.count):
            chosen_B = rng.integers(len(OPERATIONS), size=len(images_BCHW))
            sign_B = np.where(rng.random(len(images_BCHW)) < 0.5, -1.0, 1.0)
            images_BCHW = images_BCHW.clone()
            for number, operation in enumerate(OPERATIONS):
                which = chosen_B == number
                if which.any():
                    places = torch.from_numpy(np.flatnonzero(which)).to(images_BCHW.device)
                    level_B = torch.from_numpy(sign_B[which] * self.magnitude / MOST)
                    level_B = level_B.float().to(images_BCHW.device)
                    images_BCHW[places] = operation(images_BCHW[places], level_B).clamp(0, 1)
        return batch._replace(images_BCHW=images_BCHW)


def identity(images_BCHW: Tensor, level_B: Tensor) -> Tensor:
    """Nothing."""
    return images_BCHW


def auto_contrast(images_BCHW: Tensor, level_B: Tensor) -> Tensor:
    """The darkest value of every channel becomes black, the brightest one white."""
    low, high = images_BCHW.amin((2, 3), True), images_BCHW.amax((2, 3), True)
    return torch.where(high > low, (images_BCHW - low) / (high - low).clamp(min=1e-6), images_BCHW)


def equalize(images_BCHW: Tensor, level_B: Tensor) -> Tensor:
    """All values of every channel become about equally frequent."""
    values_PL = (images_BCHW * 255).round().long().flatten(2).flatten(0, 1)
    counts_PV = torch.zeros(len(values_PL), 256, device=images_BCHW.device)
    counts_PV.scatter_add_(1, values_PL, torch.ones_like(values_PL, dtype=torch.float32))
    below_PV = counts_PV.cumsum(1)
    least_P1 = below_PV.gather(1, values_PL.amin(1, True))
    range_P1 = values_PL.shape[1] - least_P1  # 0 of a channel of one value, which stays
    table_PV = (below_PV - least_P1) / range_P1.clamp(min=1)
    found_PL = torch.where(range_P1 > 0, table_PV.gather(1, values_PL), values_PL / 255)
    return found_PL.reshape(images_BCHW.shape)


def rotate(images_BCHW: Tensor, level_B: Tensor) -> Tensor:
    """Around the centre."""
    height, width = images_BCHW.shape[2:]
    angle_B = torch.deg2rad(DEGREES * level_B)
    sine_B, cosine_B = angle_B.sin(), angle_B.cos()
    return _moved(
        images_BCHW, (cosine_B, -sine_B * height / width, sine_B * width / height, cosine_B)
    )


def solarize(images_BCHW: Tensor, level_B: Tensor) -> Tensor:
    """What is brighter than a threshold is inverted."""
    threshold = 1 - _wide(level_B.abs())
    return torch.where(images_BCHW >= threshold, 1 - images_BCHW, images_BCHW)


def posterize(images_BCHW: Tensor, level_B: Tensor) -> Tensor:
    """The last bits of values are cut off."""
    step = 2.0 ** _wide((MOST_BITS_LOST * level_B.abs()).round())
    return ((images_BCHW * 255).round() / step).floor() * step / 255


def color(images_BCHW: Tensor, level_B: Tensor) -> Tensor:
    """Towards grey, or away from it."""
    return _from(_grey(images_BCHW), images_BCHW, level_B)


def contrast(images_BCHW: Tensor, level_B: Tensor) -> Tensor:
    """Towards the mean grey of the image, or away from it."""
    return _from(_grey(images_BCHW).mean((2, 3), True), images_BCHW, level_B)


def brightness(images_BCHW: Tensor, level_B: Tensor) -> Tensor:
    """Towards black, or away from it."""
    return _from(torch.zeros_like(images_BCHW), images_BCHW, level_B)


def sharpness(images_BCHW: Tensor, level_B: Tensor) -> Tensor:
    """Towards smooth images, or away from them."""
    channels = images_BCHW.shape[1]
    kernel = torch.ones(channels, 1, 3, 3, device=images_BCHW.device)
    kernel[:, :, 1, 1] = 5
    padded = F.pad(images_BCHW, (1, 1, 1, 1), mode="replicate")
    return _from(F.conv2d(padded, kernel / 13, groups=channels), images_BCHW, level_B)


def shear_x(images_BCHW: Tensor, level_B: Tensor) -> Tensor:
    """Rows move by how low they are."""
    height, width = images_BCHW.shape[2:]
    one_B = torch.ones_like(level_B)
    return _moved(images_BCHW, (one_B, SHEAR * level_B * height / width, 0 * one_B, one_B))


def shear_y(images_BCHW: Tensor, level_B: Tensor) -> Tensor:
    """Columns move by how far to the right they are."""
    height, width = images_BCHW.shape[2:]
    one_B = torch.ones_like(level_B)
    return _moved(images_BCHW, (one_B, 0 * one_B, SHEAR * level_B * width / height, one_B))


def shift_x(images_BCHW: Tensor, level_B: Tensor) -> Tensor:
    """To the left or to the right."""
    one_B = torch.ones_like(level_B)
    return _moved(images_BCHW, (one_B, 0 * one_B, 0 * one_B, one_B), (2 * SHIFT * level_B, None))


def shift_y(images_BCHW: Tensor, level_B: Tensor) -> Tensor:
    """Up or down."""
    one_B = torch.ones_like(level_B)
    return _moved(images_BCHW, (one_B, 0 * one_B, 0 * one_B, one_B), (None, 2 * SHIFT * level_B))


OPERATIONS: tuple[Operation, ...] = (
    *(identity, auto_contrast, equalize, rotate, solarize, posterize, color, contrast),
    *(brightness, sharpness, shear_x, shear_y, shift_x, shift_y),
)


def _moved(
    images_BCHW: Tensor,
    matrix: tuple[Tensor, Tensor, Tensor, Tensor],
    shift: tuple[Tensor | None, Tensor | None] = (None, None),
) -> Tensor:
    """Images at other places, in units in which each side goes from -1 to 1.

    Args:
        images_BCHW: Between 0 and 1.
        matrix: Of where a pixel comes from, row by row; entries (B,).
        shift: Likewise, along x and y; None for none.
    """
    nothing_B = torch.zeros_like(matrix[0])
    x_B, y_B = (nothing_B if by is None else by for by in shift)
    first_B3 = torch.stack([matrix[0], matrix[1], x_B], 1)
    second_B3 = torch.stack([matrix[2], matrix[3], y_B], 1)
    grid = F.affine_grid(
        torch.stack([first_B3, second_B3], 1), list(images_BCHW.shape), align_corners=False
    )
    return F.grid_sample(images_BCHW - GREY, grid, align_corners=False) + GREY


def _from(origin_BCHW: Tensor, images_BCHW: Tensor, level_B: Tensor) -> Tensor:
    """Images whose distance from others is changed by a factor."""
    return origin_BCHW + (images_BCHW - origin_BCHW) * _wide(1 + STRENGTH * level_B)


def _grey(images_BCHW: Tensor) -> Tensor:
    """(B, 1, H, W)."""
    if images_BCHW.shape[1] != len(LUMA):
        return images_BCHW.mean(1, True)
    weights = torch.tensor(LUMA, device=images_BCHW.device).reshape(1, -1, 1, 1)
    return (images_BCHW * weights).sum(1, True)


def _wide(values_B: Tensor) -> Tensor:
    return values_B.reshape(-1, 1, 1, 1)
