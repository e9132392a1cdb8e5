"""Images of another size with the low frequencies of the given ones: a crop of their spectrum.

Of a real signal of n values the frequencies -n/2 to n/2 are known; the crop to m < n values keeps
those from -m/2 to m/2, and a larger signal has no others. Where m is even, the highest one is half
a cosine, so that values are real. Rows and columns are resampled one after the other, each by a
product with a matrix, so that devices need no transform.

Source: Wang et al., EfficientTrain: Exploring Generalized Curriculum Learning for Training Visual
Backbones (2023), section 4.1. Departure: rows and columns have real values each, where the
imaginary part of a crop in both directions is left out at its end.

Shapes: B batch, C channels, H W space, M new values, N values.
"""

import math

import torch
from torch import Tensor

from search_spaces import Sides


def resampled(images_BCHW: Tensor, sides: Sides) -> Tensor:
    """Images of these sides, (B, C, *sides), of the same mean; the same ones if they have them."""
    height, width = images_BCHW.shape[2:]
    if (height, width) == sides:
        return images_BCHW
    rows_MN = _resampling(height, sides[0], images_BCHW)
    columns_MN = _resampling(width, sides[1], images_BCHW)
    found = rows_MN @ images_BCHW @ columns_MN.T
    is_last = images_BCHW.is_contiguous(memory_format=torch.channels_last)
    return found.contiguous(memory_format=torch.channels_last) if is_last else found


def _resampling(size: int, new: int, like: Tensor) -> Tensor:
    """(M, N): each new value is a sum of cosines of its distance from the old ones."""
    least = min(size, new)
    new_M, old_N = (torch.arange(n, device=like.device, dtype=torch.float32) for n in (new, size))
    apart_MN = new_M[:, None] / new - old_N / size
    total_MN = torch.ones_like(apart_MN)
    for frequency in range(1, (least + 1) // 2):
        total_MN += 2 * torch.cos(2 * math.pi * frequency * apart_MN)
    if least % 2 == 0:
        total_MN += torch.cos(math.pi * least * apart_MN)
    return (total_MN / size).to(like.dtype)
