"""Orchid: a global circular convolution whose kernel follows from the map.

Source: Karami and Ghodsi, Orchid (2024); declaration and departures in
search_spaces/operators/orchid.py. Shapes: B batch, H W space, C channels, F frequencies along a
side, X waves along a side (F cosines, then F sines).
"""

import math
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import Signature
from search_spaces._sides import Sides
from search_spaces.operators.orchid import SMOOTHING, half_spectrum
from supernets._elastic import AbstractUnpruned, Axes, Index
from supernets._heads import stacked
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class Waves(nn.Module):
    """The real Fourier transform of both sides of a channels-last map, and its inverse.

    A cyclic shift of a map turns the four waves of a pair of frequencies into each other and leaves
    the sum of their squares.

    Args:
        size: Of the map.
    """

    vertical_XH: Tensor
    horizontal_XW: Tensor

    def __init__(self, size: Sides) -> None:
        super().__init__()
        self.size = size
        # Not part of the state: they follow from the size, and stay real on the meta device.
        self.register_buffer("vertical_XH", waves(size[0]), persistent=False)
        self.register_buffer("horizontal_XW", waves(size[1]), persistent=False)

    def forward(self, x_BHWC: Tensor, width: int) -> Tensor:
        """(B, 2, F, 2, F, C): cosines and sines along columns, then along rows; C is `width`."""
        rows, columns = map(half_spectrum, self.size)
        x = self.horizontal_XW.type_as(x_BHWC) @ x_BHWC
        x = self.vertical_XH.type_as(x) @ x.reshape(-1, self.size[0], 2 * columns * width)
        return x.reshape(-1, 2, rows, 2, columns, width)

    def inverse(self, x_B2F2FC: Tensor, width: int) -> Tensor:
        """(B, H, W, C)."""
        rows, columns = map(half_spectrum, self.size)
        x = x_B2F2FC.reshape(-1, 2 * rows, 2 * columns * width)
        x = self.vertical_XH.type_as(x).transpose(0, 1) @ x
        return self.horizontal_XW.type_as(x).transpose(0, 1) @ x.reshape(
            -1, self.size[0], 2 * columns, width
        )


def waves(side: int) -> Tensor:
    """Cosines, then sines, of all frequencies at every position, with norm 1 or 0: (2 F, side)."""
    with torch.device("cpu"):
        frequency_F = torch.arange(half_spectrum(side), dtype=torch.float64)
        angle_FS = 2 * math.pi / side * torch.outer(frequency_F, torch.arange(side).double())
        is_single_F = (2 * frequency_F) % side == 0
        scale_F1 = (torch.where(is_single_F, 1.0, 2.0) / side).sqrt()[:, None]
        sines_FS = torch.where(is_single_F[:, None], 0.0, angle_FS.sin())
        return torch.cat((scale_F1 * angle_FS.cos(), scale_F1 * sines_FS)).float()


class Conditioning(nn.Module):
    """The kernel's spectrum: what squared magnitudes are, smoothed over frequencies and normed.

    No `nn.Conv2d`, because magnitudes differ by orders: they stay in fp32 in every format.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.randn(width, 1, SMOOTHING, SMOOTHING) / SMOOTHING)
        self.bias = nn.Parameter(torch.zeros(width))
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)

    def forward(self, spectrum_B2F2FC: Tensor) -> Tensor:
        """(B, 1, F, 1, F, C), a real factor for every pair of frequencies and channel."""
        power_BCFF = spectrum_B2F2FC.square().sum((1, 3)).permute(0, 3, 1, 2)
        smooth_BCFF = F.conv2d(power_BCFF, self.weight, self.bias, 1, SMOOTHING // 2, 1, self.width)
        return self.norm(smooth_BCFF.permute(0, 2, 3, 1)).unsqueeze(2).unsqueeze(1)


class PlainOrchid(nn.Module):
    """Norm, gates and values, convolution of gated values, gate, projection."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width = signature.shape.width
        self.width = width
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.expand = nn.Linear(width, 3 * width)
        self.waves = Waves(signature.shape.size)
        self.conditioning = Conditioning(width)
        self.project = nn.Linear(width, width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        after, before, values = self.expand(self.norm(x_BHWC)).split(self.width, dim=-1)
        spectra = self.waves(torch.cat((values, before * values), dim=-1), 2 * self.width)
        own, gated = spectra.split(self.width, dim=-1)
        mixed = self.waves.inverse(gated * self.conditioning(own), self.width)
        return self.project(after * mixed)


@final
@MIXERS.register
class ElasticOrchid(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width; maps of all sizes share the weights."""

    has_shortcut: ClassVar[bool] = True
    plain: ClassVar[type[nn.Module]] = PlainOrchid
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **linear_axes("expand", "expanded", "width"),
        "conditioning.weight": ("width", None, None, None),
        "conditioning.bias": ("width",),
        **norm_axes("conditioning.norm", "width"),
        **linear_axes("project", "width", "width"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels of the map, of both gates and of the values."""
        assert isinstance(self.full, PlainOrchid)
        width, full = signature.shape.width, self.full
        channels_C = torch.arange(width, device=full.project.weight.device)
        return {"width": width, "expanded": stacked(channels_C, 3, full.width)}
