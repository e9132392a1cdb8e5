"""Images of more pixels than are seen: the mean absolute error ranks, PSNR is shown.

What is seen is the mean of every block of `scale` x `scale` pixels. An answer is an image in shares
of white, all of whose channels count (RGB, not luma alone; no border is left out). PSNR is the mean
over images of 10 log10(1 / mean squared error), of answers cut to what can be shown, from black to
white. Images of 8 bits are known to half a level: no error counts as less than that rounding's. The
absolute error is of answers as they are, as training sees them.

What must be beaten is bicubic upsampling. Source: Keys, Cubic Convolution Interpolation for Digital
Image Processing (1981), with his a = -1/2; pixels beyond the border are the border's.

Shapes: N images, C channels, H W pixels that are seen, I O pixels of a side, in and out.
"""

from dataclasses import dataclass
from functools import cache
from typing import ClassVar, final

import numpy as np

from search_spaces._errors import UserError
from search_spaces.tasks._base import TASKS, Metric
from search_spaces.tasks._images import WHITE, AbstractImageTask

SCALES = (2, 3, 4)
CUBIC = -0.5
ROUNDING = 1 / WHITE**2 / 12
"""Mean squared error of a share of white that was rounded to 8 bits."""


@final
@TASKS.register
@dataclass(frozen=True, kw_only=True)
class SuperResolution(AbstractImageTask):
    """Sides are `scale` times as long."""

    loss: ClassVar[Metric] = Metric(name="absolute_error", title="absolute error")
    shown: ClassVar[Metric] = Metric(
        name="psnr", title="PSNR", goal="maximize", unit="dB", decimals=2
    )
    untaught: ClassVar[str] = "bicubic upsampling"

    scale: int = 2

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise UserError(
                f"task 'super-resolution' has scale {self.scale}. It can be "
                f"{', '.join(map(str, SCALES))}. Write super-resolution:scale=2."
            )

    @property
    def rule(self) -> str:
        """The mean of blocks."""
        return f"mean of every {self.scale} x {self.scale} pixels, rounded"

    def question(self, images_NCHW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means of blocks, and the images without rows and columns that fill no block."""
        scale = self.scale
        number, channels, *sides = images_NCHW.shape
        height, width = (side // scale for side in sides)
        answers = images_NCHW[:, :, : scale * height, : scale * width]
        blocks = answers.reshape(number, channels, height, scale, width, scale)
        means = blocks.mean(axis=(3, 5), dtype=np.float32)
        return (means + 0.5).astype(np.uint8), np.ascontiguousarray(answers)

    def untaught_answers(self, seen_NCHW: np.ndarray, scale: int) -> np.ndarray:
        """Bicubic upsampling."""
        height, width = seen_NCHW.shape[2:]
        shares = seen_NCHW.astype(np.float32) / WHITE
        return upsampling(height, scale) @ shares @ upsampling(width, scale).T

    def judge(self, outputs_NK: np.ndarray, labels_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean absolute errors in shares of white, and PSNR in dB."""
        wanted = labels_N.astype(np.float64) / WHITE
        losses_N = np.abs(outputs_NK - wanted).mean(axis=(1, 2, 3))
        squares_N = np.square(np.clip(outputs_NK, 0, 1) - wanted).mean(axis=(1, 2, 3))
        return losses_N, -10 * np.log10(np.maximum(squares_N, ROUNDING))

    def answers(self, outputs_NK: np.ndarray) -> np.ndarray:
        """The mean level of the image, 0 to 255."""
        shares = np.clip(outputs_NK.astype(np.float64), 0, 1)
        levels_N: np.ndarray = np.rint(WHITE * shares.mean(axis=(1, 2, 3))).astype(np.int64)
        return levels_N


@cache
def upsampling(side: int, scale: int) -> np.ndarray:
    """By which each pixel of a longer side depends on those of the side: (O, I), rows sum to 1.

    Args:
        side: Pixels of the side.
        scale: By how much longer the other one is.
    """
    centres_O = (np.arange(side * scale) + 0.5) / scale - 0.5
    first_O = np.floor(centres_O).astype(int) - 1
    matrix_OI = np.zeros((side * scale, side))
    for tap in range(4):
        taps_O = first_O + tap
        places_O = np.clip(taps_O, 0, side - 1)
        np.add.at(matrix_OI, (np.arange(len(taps_O)), places_O), _cubic(centres_O - taps_O))
    return matrix_OI.astype(np.float32)


def _cubic(apart: np.ndarray) -> np.ndarray:
    """Keys' kernel."""
    x, a = np.abs(apart), CUBIC
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
