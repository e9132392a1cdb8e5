"""3x3 kernels of difference convolutions, which weigh differences of pixels instead of pixels.

A difference of two taps is linear in the pixels, so each of them is a kernel, and kernels side by
side add up to one.

Source: Chen et al., DEA-Net: Single Image Dehazing Based on Detail-Enhanced Convolution and
Content-Guided Attention (2024), detail-enhanced convolution. Departure: centres of central and
angular differences, which cancel, are no weights.

Shapes: O outputs, I inputs, R the eight taps around the centre, clockwise from top left.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor


def _central(ring_OIR: Tensor) -> Tensor:
    """Every tap around the centre less the centre."""
    return _kernel(ring_OIR, -ring_OIR.sum(-1))


def _angular(ring_OIR: Tensor) -> Tensor:
    """Every tap around the centre less the next one, clockwise."""
    return _kernel(ring_OIR - ring_OIR.roll(1, -1), torch.zeros_like(ring_OIR[..., 0]))


def _horizontal(rows_OI3: Tensor) -> Tensor:
    """Left of every row less right."""
    return torch.stack((rows_OI3, torch.zeros_like(rows_OI3), -rows_OI3), -1)


def _vertical(columns_OI3: Tensor) -> Tensor:
    """Top of every column less bottom."""
    return _horizontal(columns_OI3).transpose(2, 3)


def _kernel(ring_OIR: Tensor, centre_OI: Tensor) -> Tensor:
    a, b, c, d, e, f, g, h = ring_OIR.unbind(-1)
    return torch.stack((a, b, c, h, centre_OI, d, g, f, e), -1).unflatten(-1, (3, 3))


KERNELS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "central": _central,
    "angular": _angular,
    "horizontal": _horizontal,
    "vertical": _vertical,
}
"""(O, I, 3, 3) of the weights of each kind, by its name."""
