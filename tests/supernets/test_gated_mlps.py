"""What gated MLPs mix and cost, against sums written out."""

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import Options, Shape, Signature, declaration, signature_cost
from search_spaces._sides import Sides
from search_spaces.operators._base import AbstractMixer
from supernets.mixers.maxim import GatedMLP, PlainMaxim, Regions
from supernets.mixers.ninformer import PlainNiNformer
from tests.strategies import noise, randomise_, signature

MAPS = (((8, 12), (4, 6)), ((7, 5), (4, 3)), ((11, 16), (6, 8)))
"""Sizes of maps, and of the blocks that they are given."""


class Ones(nn.Module):
    """A gate that lets everything pass."""

    def forward(self, x: Tensor) -> Tensor:
        """The shape that came in."""
        return torch.ones_like(x)


def of(operator: str, size: Sides, width: int) -> Signature:
    return signature(operator, Options({"expand_ratio": 1}), Shape(size, size, width, width))


def place_of(position: int, part: int, side: int, *, is_grid: bool) -> tuple[int, int]:
    """Which region a position belongs to along one side, and its place there."""
    apart = -(-side // part)
    return (position % apart, position // apart) if is_grid else divmod(position, part)


@pytest.mark.parametrize("is_grid", [False, True])
@pytest.mark.parametrize(("size", "block"), MAPS)
@torch.no_grad()
def test_regions_are_blocks_or_grids_and_are_joined_again(
    size: Sides, block: Sides, is_grid: bool
) -> None:
    assert of("maxim", size, 4).pick.sides("block_size") == block
    regions = Regions(size, 4, block, is_grid=is_grid)
    x_BHWC = noise(2, *size, 4)
    assert torch.equal(regions.joined(regions.divided(x_BHWC)), x_BHWC)
    weight_TT, bias_T = regions.across.weight, regions.across.bias
    found = regions(x_BHWC)
    positions = list(itertools.product(range(size[0]), range(size[1])))
    places = [
        tuple(
            zip(
                place_of(at[0], block[0], size[0], is_grid=is_grid),
                place_of(at[1], block[1], size[1], is_grid=is_grid),
                strict=True,
            )
        )
        for at in positions
    ]
    for at, (region, inside) in zip(positions, places, strict=True):
        to = inside[0] * block[1] + inside[1]
        expected = bias_T[to].expand(2, 4).clone()
        for other, (other_region, other_inside) in zip(positions, places, strict=True):
            if other_region == region:
                source = other_inside[0] * block[1] + other_inside[1]
                expected += weight_TT[to, source] * x_BHWC[:, other[0], other[1]]
        assert (found[:, at[0], at[1]] - expected).abs().max() <= 1e-5


@torch.no_grad()
def test_a_gated_mlp_multiplies_values_by_one_and_what_other_positions_say() -> None:
    module = GatedMLP(of("maxim", (8, 8), 6), "grid")
    randomise_(module, seed=0)
    x_BHWC = noise(2, 8, 8, 6)
    norm = F.layer_norm(x_BHWC, (6,), module.norm.weight, module.norm.bias, 1e-6)
    values, gates = F.gelu(norm @ module.expand.weight.t() + module.expand.bias).chunk(2, -1)
    gates = F.layer_norm(gates, (6,), module.gate_norm.weight, module.gate_norm.bias, 1e-6)
    gated = values * (module.gate(gates) + 1)
    expected = x_BHWC + gated @ module.project.weight.t() + module.project.bias
    assert (module(x_BHWC) - expected).abs().max() <= 1e-5


@torch.no_grad()
def test_one_half_sees_its_block_and_the_other_its_grid() -> None:
    module = PlainMaxim(of("maxim", (16, 16), 4)).double()
    randomise_(module, seed=0)
    x_BHWC = noise(1, 16, 16, 4).double()
    changed = x_BHWC.clone()
    changed[:, 9, 2] = noise(4, seed=5).double()
    moved_HW = (module(changed) != module(x_BHWC)).any(dim=(0, 3))
    expected = torch.zeros(16, 16, dtype=torch.bool)
    expected[8:, :8] = True
    expected[1::2, 0::2] = True
    assert torch.equal(moved_HW, expected)


def test_the_same_weights_fit_maps_of_any_size_and_cost_as_much_as_these_have_pixels() -> None:
    small, large = of("maxim", (32, 32), 8), of("maxim", (64, 64), 8)
    module, other = PlainMaxim(small), PlainMaxim(large)
    randomise_(module, seed=0)
    other.load_state_dict(module.state_dict())
    assert other(noise(1, 64, 64, 8)).isfinite().all()
    assert signature_cost(large).macs == 4 * signature_cost(small).macs


def test_multiply_adds_of_both_halves_are_those_of_the_paper() -> None:
    """Section 3.2: linear in pixels; projections and gates of twice the channels."""
    rule, width, pixels, tokens = declaration("maxim"), 16, 32 * 32, 8 * 8
    assert isinstance(rule, AbstractMixer)
    found = rule.mixer_cost(of("maxim", (32, 32), width))
    projections = 2 * 2 * width**2
    half = 2 * width**2 + tokens * width + width**2
    assert found.macs == pixels * (projections + 2 * half)


@torch.no_grad()
def test_a_gate_of_1_leaves_a_linear_layer() -> None:
    module = PlainNiNformer(of("ninformer", (4, 6), 8))
    randomise_(module, seed=0)
    x_BHWC = noise(2, 4, 6, 8)
    norm = F.layer_norm(x_BHWC, (8,), module.norm.weight, module.norm.bias, 1e-6)
    linear = norm @ module.project.weight.t() + module.project.bias
    gate = module.gate(norm.reshape(2, 24, 8)).reshape(2, 4, 6, 8)
    assert (module(x_BHWC) - linear * gate).abs().max() <= 1e-5
    module.gate = Ones()
    assert (module(x_BHWC) - linear).abs().max() <= 1e-6


@torch.no_grad()
def test_a_gate_is_an_mlp_mixer_across_positions_then_across_channels() -> None:
    module = PlainNiNformer(of("ninformer", (3, 4), 6))
    randomise_(module, seed=1)
    tokens, channels = module.gate
    x_BTC = noise(2, 12, 6)
    norm = tokens.norm(x_BTC)
    weights = tokens.expand.weight, tokens.project.weight
    hidden = F.gelu(torch.einsum("ht,btc->bch", weights[0], norm) + tokens.expand.bias)
    mixed = torch.einsum("th,bch->btc", weights[1], hidden) + tokens.project.bias[:, None]
    after = x_BTC + mixed
    hidden = F.gelu(channels.norm(after) @ channels.expand.weight.t() + channels.expand.bias)
    expected = after + hidden @ channels.project.weight.t() + channels.project.bias
    assert (module.gate(x_BTC) - expected).abs().max() <= 1e-5


def test_four_blocks_of_the_authors_code_have_as_many_parameters_less_a_norm_each() -> None:
    """Of 256 channels on 8 x 8 px with 512 hidden channels everywhere."""
    found = (
        4
        * signature_cost(
            signature("ninformer", Options({"expand_ratio": 2}), Shape.square(8, 8, 256, 256))
        ).params
    )
    norm, positions = 2 * 256, 64 * 512 + 512 + 512 * 64 + 64
    channels = 256 * 512 + 512 + 512 * 256 + 256
    block = 3 * norm + positions + 2 * channels + 256 * 256 + 256
    assert found == 4 * (block + norm) == 2_637_056 + 4 * norm
