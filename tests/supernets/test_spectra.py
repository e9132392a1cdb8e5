"""Cosines and wavelets, and what mixers of spectra do with them, against sums written out."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from search_spaces import Options, Shape, Signature, declaration
from search_spaces._sides import Sides
from search_spaces.operators._base import AbstractMixer
from search_spaces.operators.dsm import octaves
from supernets._spectra import (
    LOW,
    LOW_BACK,
    cosine_transform,
    inverse_cosine_transform,
    wavelet_analysis,
    wavelet_synthesis,
)
from supernets.mixers.dsm import PlainDSM
from supernets.mixers.svt import ComplexBlocks, Gathering, PlainSVT, Scattering
from tests.strategies import noise, randomise_, signature

SIZES = ((4, 4), (7, 5), (6, 16), (28, 28))
by_size = pytest.mark.parametrize("size", SIZES, ids=str)


class Ones(nn.Module):
    """A gate that lets everything pass."""

    def forward(self, x: Tensor) -> Tensor:
        """The shape that came in."""
        return torch.ones_like(x)


def of(operator: str, size: Sides, width: int, **pick: int) -> Signature:
    return signature(
        operator, Options({"expand_ratio": 1, **pick}), Shape(size, size, width, width)
    )


def even(size: Sides) -> Sides:
    return size[0] + size[0] % 2, size[1] + size[1] % 2


def cosine(frequency: int, place: int, side: int) -> float:
    scale = math.sqrt((1 if frequency == 0 else 2) / side)
    return scale * math.cos(math.pi * frequency * (place + 0.5) / side)


def test_a_spectrum_is_the_sum_of_cosines_over_the_map() -> None:
    size = (4, 5)
    x_HW = noise(*size)
    found = cosine_transform(size)(x_HW)
    for v, u in itertools.product(range(4), range(5)):
        terms = (
            float(x_HW[y, x]) * cosine(v, y, 4) * cosine(u, x, 5)
            for y, x in itertools.product(range(4), range(5))
        )
        assert float(found[v, u]) == pytest.approx(sum(terms), abs=1e-5)


@by_size
def test_cosines_are_orthonormal(size: Sides) -> None:
    for side in size:
        basis = cosine_transform((side, side)).rows_PH
        assert (basis @ basis.t() - torch.eye(side)).abs().max() <= 1e-6
    x = noise(2, 3, *size)
    assert (inverse_cosine_transform(size)(cosine_transform(size)(x)) - x).abs().max() <= 1e-5


@by_size
@torch.no_grad()
def test_a_spectrum_whose_gains_are_1_is_the_map(size: Sides) -> None:
    module = PlainDSM(of("dsm", size, 8, num_bands=3))
    randomise_(module, seed=0)
    x_BHWC = noise(2, *size, 8)
    assert (module(x_BHWC) - x_BHWC).abs().max() > 0.1
    module.gate = Ones()
    assert (module(x_BHWC) - x_BHWC).abs().max() <= 1e-5


@torch.no_grad()
def test_gains_differ_between_images_and_scale_the_octaves_of_every_channel() -> None:
    size, bands = (8, 6), 3
    module = PlainDSM(of("dsm", size, 4, num_bands=bands))
    randomise_(module, seed=1)
    x_BHWC = noise(2, *size, 4)
    hidden = module.act(module.reduce(x_BHWC.mean((1, 2))))
    gains_BSC = module.gains(hidden).sigmoid().reshape(2, bands, 4)
    assert (gains_BSC[0] - gains_BSC[1]).abs().min() > 0
    forth = cosine_transform(size)
    spectrum = forth(x_BHWC.permute(0, 3, 1, 2))
    found = forth(module(x_BHWC).permute(0, 3, 1, 2))
    band_of = octaves(size, bands)
    for v, u in itertools.product(range(8), range(6)):
        expected_BC = spectrum[:, :, v, u] * gains_BSC[:, band_of[v][u]]
        assert (found[:, :, v, u] - expected_BC).abs().max() <= 1e-5


@by_size
def test_one_more_octave_divides_what_is_lowest_and_no_band_is_empty(size: Sides) -> None:
    most = of("dsm", size, 8, num_bands=99).pick.number("num_bands")
    assert most == 1 + int(math.log2(min(size)))
    for bands in range(1, most + 1):
        flat, finer = ([*itertools.chain(*octaves(size, number))] for number in (bands, bands + 1))
        assert set(flat) == set(range(bands))
        assert [min(octave, bands - 1) for octave in finer] == flat
    assert octaves((4, 4), 2)[0] == [1, 1, 1, 1]
    assert octaves((4, 4), 2)[2] == [1, 1, 0, 0]


@by_size
def test_wavelets_are_undone(size: Sides) -> None:
    x = noise(2, 3, 4, *size)
    found = wavelet_synthesis(size)(wavelet_analysis(size)(x))
    assert (found - x).abs().max() <= 1e-5
    sizes = size, even(size), (3, 4)
    low, bands = Scattering(*sizes)(x)
    assert (Gathering(*sizes)(low, 0.5 * bands) - x).abs().max() <= 1e-5


def filtered(values: list[float], taps: tuple[float, ...], *, is_high: bool) -> list[float]:
    """Every value's neighbours times taps, which are the same on both sides; borders mirror."""
    length, found = len(values), []
    for place in range(length):
        total = 0.0
        for offset in range(-len(taps) + 1, len(taps)):
            tap = taps[abs(offset)] * (-1 if is_high and offset % 2 else 1)
            at = (place + offset) % (2 * length)
            total += tap * values[at if at < length else 2 * length - 1 - at]
        found.append(total)
    return found


def high_and_low(x_HW: Tensor, high_rows: bool, high_columns: bool) -> Tensor:
    """The map filtered along its columns, then along its rows."""
    columns = [
        filtered(column, LOW_BACK if high_rows else LOW, is_high=high_rows)
        for column in x_HW.t().tolist()
    ]
    rows = [
        filtered(row, LOW_BACK if high_columns else LOW, is_high=high_columns)
        for row in torch.tensor(columns).t().tolist()
    ]
    return torch.tensor(rows)


def test_bands_are_sums_and_differences_of_four_trees_of_filtered_maps() -> None:
    size, half = (6, 8), (3, 4)
    x_HW = noise(*size)
    low, bands = Scattering(size, size, (1, 1))(x_HW.reshape(1, 1, 1, *size))
    order = [[*range(0, side, 2), *range(1, side, 2)] for side in size]
    expected_low = high_and_low(x_HW, False, False)[order[0]][:, order[1]]
    assert (low[0, 0, 0] - expected_low).abs().max() <= 1e-5
    found = bands.reshape(2, 6, *half)
    for place, (rows, columns) in enumerate([(False, True), (True, False), (True, True)]):
        high = high_and_low(x_HW, rows, columns)
        a, b = high[0::2, 0::2], high[0::2, 1::2]
        c, d = high[1::2, 0::2], high[1::2, 1::2]
        assert (torch.complex(*found[:, place]) - torch.complex(a - d, b + c)).abs().max() <= 1e-5
        other = torch.complex(*found[:, place + 3])
        assert (other - torch.complex(a + d, b - c)).abs().max() <= 1e-5


@torch.no_grad()
def test_blocks_of_channels_are_complex_matrices() -> None:
    width, size = 12, 3
    layer = ComplexBlocks(width, size)
    randomise_(layer, seed=2)
    x = noise(2, 4, 2, size, 5, 7)
    merged = layer.merged()
    assert (
        merged(x.reshape(2, 2 * width, 5, 7)) - layer(x.reshape(2, -1, 5, 7))
    ).abs().max() <= 1e-6
    found = layer(x.reshape(2, -1, 5, 7)).reshape(2, 4, 2, size, 5, 7)
    weight, bias = torch.complex(*layer.weight), torch.complex(*layer.bias)
    for block in range(4):
        inputs = torch.complex(x[:, block, 0], x[:, block, 1])
        rows = weight[block::4]
        expected = torch.einsum("ji,bihw->bjhw", rows, inputs) + bias[block::4, None, None]
        output = torch.complex(found[:, block, 0], found[:, block, 1])
        assert (output - expected).abs().max() <= 1e-5


def test_four_blocks_of_channels_cost_a_quarter_of_complex_matrices() -> None:
    size, width = (14, 28), 32
    spec = of("svt", size, width)
    rule = declaration("svt")
    assert isinstance(rule, AbstractMixer)
    found = rule.mixer_cost(spec)
    vectors = 6 * (14 // 2) * (28 // 2)
    assert found.dense == 2 * 4 * vectors * width * width // 4
    assert found.attention == 6 * 14 * 28 * width * (14 + 28)
    module = PlainSVT(spec)
    assert [module.expand.weight.numel(), module.low.numel()] == [2 * 32 * 8, 32 * 14 * 28]


@torch.no_grad()
def test_a_scattering_mixer_that_has_learnt_nothing_gives_nothing() -> None:
    module = PlainSVT(of("svt", (8, 8), 8))
    assert not module(noise(2, 8, 8, 8)).any()
