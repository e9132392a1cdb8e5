"""Maps in frequency and scale: products with constant matrices along both sides.

Matrices follow from a map's sides, so no state has them, and they stay fp32 in every format, as
attention products do. On one thread of onnxruntime two such products take a fraction of the time
that its own discrete Fourier transform does (decision 82).

A filter whose taps are symmetric, on a map whose borders repeat as in a mirror, scales every cosine
by what it makes of its frequency. So filters are made of cosines as well.

Shapes: H W space, P Q of what comes out, S a side that is even.
"""

from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor, nn

from search_spaces._sides import Sides

LOW = (3 / 5, 1 / 4, -1 / 20)
"""Low-pass filter of the analysis, from its centre on."""

LOW_BACK = (17 / 28, 73 / 280, -3 / 56, -3 / 280)
"""Low-pass filter of the synthesis. High-pass filters have the other one's taps in alternating
signs; both analysed and synthesised again are the map (Kingsbury's near-symmetric filters A)."""


@final
class Separable(nn.Module):
    """A linear map of all columns of a map, then one of all rows: (..., H, W) to (..., P, Q).

    Args:
        rows_PH: Its matrix.
        columns_QW: The other one's.
    """

    rows_PH: Tensor
    columns_WQ: Tensor

    def __init__(self, rows_PH: Tensor, columns_QW: Tensor) -> None:
        super().__init__()
        self.register_buffer("rows_PH", rows_PH.contiguous(), persistent=False)
        self.register_buffer("columns_WQ", columns_QW.t().contiguous(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., P, Q)."""
        return self.rows_PH.type_as(x) @ x @ self.columns_WQ.type_as(x)


def cosine_transform(size: Sides) -> Separable:
    """The orthonormal discrete cosine transform of maps of this size, lowest frequencies first."""
    return _of_sides(_cosines, size)


def inverse_cosine_transform(size: Sides) -> Separable:
    """What undoes `cosine_transform`."""
    return _of_sides(lambda side: _cosines(side).t(), size)


def wavelet_analysis(size: Sides) -> Separable:
    """One level of the dual-tree wavelet transform of maps of this size, in real numbers.

    Nothing is left out, so a side becomes twice as long: first what is low, then what is high, and
    of both first what is at even places, then what is at odd ones. These are the trees; their sums
    and differences are complex wavelets. An odd side is made even by its last row or column again.

    Source: Kingsbury, Complex Wavelets for Shift Invariant Analysis and Filtering of Signals
    (2001); first level, near-symmetric filters of 5 and 7 taps.
    """
    return _of_sides(_analysis, size)


def wavelet_synthesis(size: Sides) -> Separable:
    """What undoes `wavelet_analysis`."""
    return _of_sides(_synthesis, size)


def _of_sides(matrix_of: Callable[[int], Tensor], size: Sides) -> Separable:
    """The matrices of both sides, which stay real on the meta device."""
    with torch.device("cpu"):
        height, width = (matrix_of(side).float() for side in size)
    return Separable(height, width)


def _cosines(side: int) -> Tensor:
    """The orthonormal basis, a row per frequency: (side, side)."""
    places = torch.arange(side, dtype=torch.float64)
    basis = (2 / side) ** 0.5 * torch.cos(torch.pi / side * torch.outer(places, places + 0.5))
    basis[0] *= 0.5**0.5
    return basis


def _filter(side: int, taps: Sequence[float], *, is_high: bool) -> Tensor:
    """The matrix of a symmetric filter: (side, side).

    Args:
        side: Of the map, which its borders repeat as a mirror does.
        taps: From the centre on.
        is_high: Whether signs alternate.
    """
    frequencies = torch.pi * (torch.arange(side, dtype=torch.float64) / side + is_high)
    response = torch.full_like(frequencies, taps[0])
    for place, tap in enumerate(taps[1:], start=1):
        response += 2 * tap * torch.cos(place * frequencies)
    basis = _cosines(side)
    return basis.t() @ (response[:, None] * basis)


def _trees(side: int) -> list[int]:
    """Even places, then odd ones."""
    return [*range(0, side, 2), *range(1, side, 2)]


def _analysis(side: int) -> Tensor:
    """(2 * S, side): what is low, then what is high."""
    even = side + side % 2
    order = _trees(even)
    low, high = _filter(even, LOW, is_high=False), _filter(even, LOW_BACK, is_high=True)
    matrix = torch.cat((low[order], high[order]))
    repeated = matrix[:, :side].clone()
    repeated[:, side - 1] += matrix[:, side:].sum(1)
    return repeated


def _synthesis(side: int) -> Tensor:
    """(side, 2 * S), the inverse of `_analysis`."""
    even = side + side % 2
    order = _trees(even)
    low, high = _filter(even, LOW_BACK, is_high=False), _filter(even, LOW, is_high=True)
    return torch.cat((low[:, order], high[:, order]), 1)[:side]
