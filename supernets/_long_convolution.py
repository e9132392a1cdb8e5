"""Depthwise convolutions as long as a map, whose kernels are made of other parameters.

What makes a kernel is a module: called with nothing, it gives the taps of every channel, (C, 2 L -
1) for a side of L px, from distance -(L - 1) to L - 1. A tap at a negative distance reads positions
above or left. Deployed is an ordinary convolution (`supernets/_merged.py`).

Shapes: B batch, C channels, H W space, L length of a side, P parameters of all pieces, M modes.
"""

import math
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces._sides import Sides
from search_spaces.operators.longconv import SMOOTHED_TAPS, THRESHOLD
from search_spaces.operators.sgconv import DECAY, PIECE, piece_lengths
from supernets._merged import AbstractMergedConv

FIRST_PIECE_STD, FIRST_TAP_STD = 0.4, 0.02
FIRST_STEPS = 0.05, 1.0
"""Steps of a state space in pixels, the shortest and the longest."""

FIRST_DECAY = 0.5
"""Of a state space's modes, per unit of time."""


@final
class LongConvolution(nn.Module, AbstractMergedConv):
    """A depthwise convolution of columns or of rows, from end to end in both directions.

    Args:
        width: Channels.
        side: Of the map, along which it goes.
        taps: Makes the kernel.
        is_vertical: Whether it goes along columns.
    """

    def __init__(self, width: int, side: int, taps: nn.Module, *, is_vertical: bool) -> None:
        super().__init__()
        self.is_vertical = is_vertical
        self.padding = (side - 1, 0) if is_vertical else (0, side - 1)
        self.stride, self.groups = 1, width
        self.taps = taps
        self.bias = nn.Parameter(torch.zeros(width))

    def kernel(self) -> tuple[Tensor, Tensor | None]:
        """(C, 1, 2 L - 1, 1) of columns, (C, 1, 1, 2 L - 1) of rows, and (C,)."""
        taps = self.taps()
        return taps[:, None, :, None] if self.is_vertical else taps[:, None, None], self.bias

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        return F.conv2d(x_BCHW, *self.kernel(), 1, self.padding, 1, self.groups)


@final
class AxialLongConvolution(nn.Module):
    """Long convolutions of columns, then of rows, on a channels-last map.

    Together they are one kernel as large as the map, the outer product of the two.

    Source: Nguyen et al., S4ND: Modeling Images and Videos as Multidimensional Signals Using State
    Spaces (2022), for the product.

    Args:
        width: Channels.
        size: Of the map.
        taps_of: What makes the kernel for a side of so many pixels.
    """

    def __init__(self, width: int, size: Sides, taps_of: Callable[[int], nn.Module]) -> None:
        super().__init__()
        height, length = size
        self.vertical = LongConvolution(width, height, taps_of(height), is_vertical=True)
        self.horizontal = LongConvolution(width, length, taps_of(length), is_vertical=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in."""
        return self.horizontal(self.vertical(x_BHWC.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)


@final
class StretchedPieces(nn.Module):
    """Taps of pieces that are interpolated to growing lengths and multiplied by a decay.

    Source: Li et al., What Makes Convolutional Models Great on Long Sequence Modeling? (2022);
    departures in search_spaces/operators/sgconv.py.

    Args:
        width: Channels.
        side: Of the map.
        num_pieces: As many as there are parameters for, which may be more than this side has.
    """

    stretch_PL: Tensor

    def __init__(self, width: int, side: int, num_pieces: int) -> None:
        super().__init__()
        self.pieces = nn.Parameter(FIRST_PIECE_STD * torch.randn(width, 2, num_pieces, PIECE))
        self.skip = nn.Parameter(torch.ones(width))
        # Not part of the state: it follows from the side, and stays real on the meta device.
        self.register_buffer("stretch_PL", stretched(piece_lengths(side)), persistent=False)

    def forward(self) -> Tensor:
        """(C, 2 L - 1)."""
        stretch_PL = self.stretch_PL.type_as(self.pieces)
        behind_CL, ahead_CL = (self.pieces.flatten(2) @ stretch_PL).unbind(1)
        return torch.cat((behind_CL.flip(1), self.skip[:, None], ahead_CL), 1)


def stretched(lengths: list[int]) -> Tensor:
    """What taps at distances from 1 on are made of: (pieces * PIECE, sum of lengths).

    Pieces are interpolated linearly, and what lies beyond their ends is what is there.
    """
    with torch.device("cpu"):
        parts = []
        for piece, length in enumerate(lengths):
            places_L = (torch.arange(length) + 0.5) * PIECE / length - 0.5
            places_L = places_L.clamp(0, PIECE - 1)
            shares_PL = (1 - (places_L - torch.arange(PIECE)[:, None]).abs()).clamp_min(0)
            parts.append(DECAY**piece * shares_PL)
        return torch.block_diag(*parts)


@final
class FreeTaps(nn.Module):
    """Taps that are parameters, squashed or smoothed.

    Source: Fu et al., Simple Hardware-Efficient Long Convolutions for Sequence Modeling (2023);
    departures in search_spaces/operators/longconv.py.

    Args:
        width: Channels.
        num_taps: As many as there are parameters for.
        regulariser: "squash", "smooth" or "none".
    """

    mean_LL: Tensor

    def __init__(self, width: int, num_taps: int, regulariser: str) -> None:
        super().__init__()
        self.regulariser = regulariser
        distance_L = (torch.arange(num_taps) - num_taps // 2).abs()
        rate_C = max(1.0, width / 2) ** (torch.arange(width) / width)
        fading_CL = torch.exp(-2 * rate_C[:, None] * distance_L / num_taps)
        first_CL = FIRST_TAP_STD * torch.randn(width, num_taps) * fading_CL
        self.weight = nn.Parameter(first_CL + (distance_L == 0))
        # A product, because exporters do not know the shape of what is padded.
        mean_LL = neighbours(num_taps) if regulariser == "smooth" else None
        self.register_buffer("mean_LL", mean_LL, persistent=False)

    def forward(self) -> Tensor:
        """(C, 2 L - 1)."""
        if self.regulariser == "smooth":
            return self.weight @ self.mean_LL.type_as(self.weight)
        return squashed(self.weight) if self.regulariser == "squash" else self.weight


def squashed(taps: Tensor) -> Tensor:
    """Values nearer to 0 by `THRESHOLD`, and 0 where they were no further; gradients as without."""
    return taps + (F.softshrink(taps, THRESHOLD) - taps).detach()


def neighbours(num_taps: int) -> Tensor:
    """What makes every tap the mean of `SMOOTHED_TAPS`; beyond the ends are zeros: (taps, taps)."""
    with torch.device("cpu"):
        places_L = torch.arange(num_taps)
        are_near_LL = (places_L[:, None] - places_L).abs() <= SMOOTHED_TAPS // 2
        return are_near_LL / SMOOTHED_TAPS


@final
class StateSpaceTaps(nn.Module):
    """Taps that are the answer of a diagonal state space to an impulse, in both directions.

    With A = -exp(decay) + i frequency of every mode and a step d, the states follow s' = exp(d A) s
    + (exp(d A) - 1) / A u, and the answer is 2 Re(C s) plus the skip connection.

    Source: Gu et al., On the Parameterization and Initialization of Diagonal State Space Models
    (2022); departures in search_spaces/operators/s4d.py.

    Args:
        width: Channels.
        side: Of the map.
        num_modes: Pairs of conjugate states.
    """

    def __init__(self, width: int, side: int, num_modes: int) -> None:
        super().__init__()
        self.side = side
        shortest, longest = map(math.log, FIRST_STEPS)
        self.log_step = nn.Parameter(shortest + (longest - shortest) * torch.rand(width))
        self.log_decay = nn.Parameter(torch.full((width, num_modes), math.log(FIRST_DECAY)))
        self.frequency = nn.Parameter(math.pi * torch.arange(num_modes).repeat(width, 1))
        coefficients = torch.randn(width, 2, num_modes, 2) * num_modes**-0.5
        self.coefficients = nn.Parameter(coefficients)
        self.skip = nn.Parameter(torch.ones(width))

    def forward(self) -> Tensor:
        """(C, 2 L - 1)."""
        decay_CM, frequency_CM = self.log_decay.exp(), self.frequency
        step_C1 = self.log_step.exp()[:, None]
        distance_L = torch.arange(self.side, device=step_C1.device, dtype=step_C1.dtype)
        fading_CML = torch.exp(-(step_C1 * decay_CM)[..., None] * distance_L)
        angle_CML = (step_C1 * frequency_CM)[..., None] * distance_L
        real_C2M, imaginary_C2M = self._residues(step_C1, decay_CM)
        answers_C2L = 2 * (
            real_C2M @ (fading_CML * angle_CML.cos())
            - imaginary_C2M @ (fading_CML * angle_CML.sin())
        )
        behind_CL, ahead_CL = answers_C2L.unbind(1)
        here_C1 = behind_CL[:, :1] + self.skip[:, None]
        return torch.cat((behind_CL[:, 1:].flip(1), here_C1, ahead_CL[:, :-1]), 1)

    def _residues(self, step_C1: Tensor, decay_CM: Tensor) -> tuple[Tensor, Tensor]:
        """Real and imaginary part of C (exp(d A) - 1) / A: (C, 2, M) each.

        In reals, because ONNX has no complex numbers and what is trained can be exported, too.
        """
        frequency_CM = self.frequency
        fading_CM, angle_CM = torch.exp(-step_C1 * decay_CM), step_C1 * frequency_CM
        x_CM, y_CM = fading_CM * angle_CM.cos() - 1, fading_CM * angle_CM.sin()
        square_CM = decay_CM.square() + frequency_CM.square()
        held_real_CM = (y_CM * frequency_CM - x_CM * decay_CM) / square_CM
        held_imaginary_CM = -(y_CM * decay_CM + x_CM * frequency_CM) / square_CM
        c_real_C2M, c_imaginary_C2M = self.coefficients.unbind(-1)
        real_C2M = c_real_C2M * held_real_CM[:, None] - c_imaginary_C2M * held_imaginary_CM[:, None]
        imaginary_C2M = (
            c_real_C2M * held_imaginary_CM[:, None] + c_imaginary_C2M * held_real_CM[:, None]
        )
        return real_C2M, imaginary_C2M
