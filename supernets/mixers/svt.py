"""Scattering mixer of low and high bands of wavelets.

Source: Patro and Agneeswaran, Scattering Vision Transformer (2023), section 3; declaration and
departures in search_spaces/operators/svt.py. Shapes: B batch, C channels, G blocks of channels, D
channels of a block, H W space, E F its sides made even, P Q halves of these.
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import Signature
from search_spaces._sides import Sides
from search_spaces.operators.svt import BANDS, even_sides
from supernets._elastic import Axes, Index
from supernets._merged import AbstractMergedConv
from supernets._modules import NORM_EPS, norm_axes
from supernets._spectra import wavelet_analysis, wavelet_synthesis
from supernets.criteria._base import GroupWeights
from supernets.mixers._base import MIXERS, AbstractElasticMixer

REAL_BANDS = BANDS // 2
"""What is high along the width, along the height, and along both."""


@final
class ComplexBlocks(nn.Module, AbstractMergedConv):
    """A complex matrix per block of channels at every position, deployed as a grouped convolution.

    Of every block come and go the real parts, then the imaginary ones: (B, 2 * C, H, W). Weights
    have a row per channel in the map's order, in which a block has every G-th one.

    Args:
        width: C.
        size: D.
        is_zero: Whether it gives 0 before it has learnt.
    """

    def __init__(self, width: int, size: int, *, is_zero: bool = False) -> None:
        super().__init__()
        self.size, self.groups, self.stride, self.padding = size, width // size, 1, 0
        self.weight = nn.Parameter(torch.zeros(2, width, size))
        self.bias = nn.Parameter(torch.zeros(2, width))
        if not is_zero:
            nn.init.normal_(self.weight, std=size**-0.5)

    def kernel(self) -> tuple[Tensor, Tensor | None]:
        """(2 * C, 2 * D, 1, 1) and (2 * C,)."""
        size, groups = self.size, self.groups
        parts_2GDD = self.weight.reshape(2, size, groups, size).transpose(1, 2)
        real_GDD, imaginary_GDD = parts_2GDD[0], parts_2GDD[1]
        to_real = torch.cat((real_GDD, -imaginary_GDD), 2)
        to_imaginary = torch.cat((imaginary_GDD, real_GDD), 2)
        weight = torch.cat((to_real, to_imaginary), 1).reshape(-1, 2 * size, 1, 1)
        return weight, self.bias.reshape(2, size, groups).permute(2, 0, 1).reshape(-1)

    def forward(self, x: Tensor) -> Tensor:
        """The shape that came in."""
        return F.conv2d(x, *self.kernel(), 1, 0, 1, self.groups)


@final
class Scattering(nn.Module):
    """What is low in a map, and six complex bands of what is high.

    Args:
        size: Of the map.
        even: The same, sides made even.
        blocks: G and D.
    """

    def __init__(self, size: Sides, even: Sides, blocks: tuple[int, int]) -> None:
        super().__init__()
        (self.rows, self.columns), (groups, channels) = even, blocks
        halves = self.rows // 2, self.columns // 2
        self.trees = (groups, channels, REAL_BANDS, 2, halves[0], 2, halves[1])
        self.bands = (2 * groups * channels, BANDS * halves[0], halves[1])
        self.analysis = wavelet_analysis(size)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, G, D, E, F) and (B, 2 * C, 6 * P, Q), of (B, G, D, H, W)."""
        low_rows, high_rows = self.analysis(x).split(self.rows, dim=3)
        low, beside = low_rows.split(self.columns, dim=4)
        below, corner = high_rows.split(self.columns, dim=4)
        high = torch.cat((beside, below, corner), dim=3)
        even, odd = high.reshape(-1, *self.trees).split(1, dim=4)
        a, b = even.split(1, dim=6)
        c, d = odd.split(1, dim=6)
        first = torch.cat((a - d, b + c), dim=2)
        second = torch.cat((a + d, b - c), dim=2)
        return low, torch.cat((first, second), dim=3).reshape(-1, *self.bands)


@final
class Gathering(nn.Module):
    """The inverse of `Scattering`, with the same arguments, for bands that are halved."""

    def __init__(self, size: Sides, even: Sides, blocks: tuple[int, int]) -> None:
        super().__init__()
        (self.rows, columns), (groups, self.channels) = even, blocks
        self.bands = (groups, 2 * self.channels, BANDS, 1, self.rows // 2, 1, columns // 2)
        self.high = (groups, self.channels, REAL_BANDS * self.rows, columns)
        self.synthesis = wavelet_synthesis(size)

    def forward(self, low: Tensor, bands: Tensor) -> Tensor:
        """(B, G, D, H, W)."""
        first, second = bands.reshape(-1, *self.bands).split(REAL_BANDS, dim=3)
        real, imaginary = first.split(self.channels, dim=2)
        other_real, other_imaginary = second.split(self.channels, dim=2)
        even = torch.cat((real + other_real, imaginary + other_imaginary), dim=6)
        odd = torch.cat((imaginary - other_imaginary, other_real - real), dim=6)
        high = torch.cat((even, odd), dim=4).reshape(-1, *self.high)
        beside, below, corner = high.split(self.rows, dim=3)
        above = torch.cat((low, beside), dim=4)
        output: Tensor = self.synthesis(
            torch.cat((above, torch.cat((below, corner), dim=4)), dim=3)
        )
        return output


class PlainSVT(nn.Module):
    """Norm, transform, weights of what is low, matrices of what is high, inverse transform."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, size = signature.shape, signature.pick.number("block_channels")
        self.even, self.blocks = even_sides(shape), (shape.width // size, size)
        self.width, self.size = shape.width, shape.size
        self.norm = nn.LayerNorm(self.width, eps=NORM_EPS)
        self.scattering = Scattering(self.size, self.even, self.blocks)
        self.low = nn.Parameter(torch.zeros(self.width, *self.even))
        self.expand = ComplexBlocks(self.width, size)
        self.act = nn.GELU()
        self.project = ComplexBlocks(self.width, size, is_zero=True)
        self.gathering = Gathering(self.size, self.even, self.blocks)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        groups, channels = self.blocks
        # NOTE: copies of maps and then of blocks are faster than one of single numbers.
        x_BCHW = self.norm(x_BHWC).permute(0, 3, 1, 2)
        x = x_BCHW.reshape(-1, channels, groups, *self.size).transpose(1, 2)
        low, bands = self.scattering(x)
        weights_GDEF = self.low.reshape(channels, groups, *self.even).transpose(0, 1)
        bands = self.project(self.act(self.expand(bands)))
        x = self.gathering(low * weights_GDEF, bands)
        x_BCHW = x.transpose(1, 2).reshape(-1, self.width, *self.size)
        return x_BCHW.permute(0, 2, 3, 1)


@final
@MIXERS.register
class ElasticSVT(AbstractElasticMixer):
    """Elastic width; weights of what is low belong to the map."""

    has_shortcut: ClassVar[bool] = True
    plain: ClassVar[type[nn.Module]] = PlainSVT
    is_sized: ClassVar[bool] = True
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        "low": ("width", None, None),
        **{
            name: roles
            for layer in ("expand", "project")
            for name, roles in {
                f"{layer}.weight": (None, "width", "block"),
                f"{layer}.bias": (None, "width"),
            }.items()
        },
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels, and the first of every block."""
        return {"width": signature.shape.width, "block": signature.pick.number("block_channels")}

    def group_weights(self) -> dict[str, GroupWeights]:
        """Nothing can be pruned."""
        return {}
