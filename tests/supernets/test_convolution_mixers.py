"""What the papers say convolutional operators do and cost, checked on their plain modules."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import Options, Shape, Signature, declaration, signature_cost
from search_spaces.operators._base import AbstractMixer
from search_spaces.operators.lsconv import GROUP_SIZE
from supernets._neighbours import NeighbourSum
from supernets.channel_parts.mlp import PlainMLP
from supernets.mixers.hornet import PlainHorNet
from supernets.mixers.lsconv import PlainLSConv
from supernets.mixers.metamixer import PlainMetaMixer, QueryKeyValue
from tests.strategies import noise, randomise_, signature


def of(operator: str, side: int, width: int, *, expand_ratio: int = 4, **pick: int) -> Signature:
    options = Options({"expand_ratio": expand_ratio, **pick})
    return signature(operator, options, Shape.square(side, side, width, width))


def mixer_cost(spec: Signature):
    rule = declaration(spec.operator)
    assert isinstance(rule, AbstractMixer)
    return rule.mixer_cost(spec)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@torch.no_grad()
def test_a_gated_convolution_of_order_n_is_of_degree_n_plus_1(order: int) -> None:
    module = PlainHorNet(of("hornet", 7, 16, order=order, kernel_size=5)).double()
    randomise_(module, seed=0)
    module.norm = nn.Identity()
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
    x_BHWC = noise(2, 7, 7, 16).double()
    expected = 1.7 ** (order + 1) * module(x_BHWC)
    assert torch.allclose(module(1.7 * x_BHWC), expected, rtol=1e-4)


@pytest.mark.parametrize(("width", "percent"), [(64, 10.7), (96, 9.1), (128, 8.2)])
def test_high_orders_cost_little_more_than_low_ones(width: int, percent: float) -> None:
    low, high = (
        mixer_cost(of("hornet", 14, width, order=order, kernel_size=7)).macs for order in (2, 5)
    )
    assert 100 * (high / low - 1) == pytest.approx(percent, abs=0.1)


def test_levels_of_a_gated_convolution_fill_twice_the_width() -> None:
    for order in (1, 2, 3, 4, 5):
        module = PlainHorNet(of("hornet", 7, 64, order=order, kernel_size=5))
        assert module.expand.out_features == 128


@pytest.mark.parametrize("kernel_size", [3, 5])
@torch.no_grad()
def test_a_pair_of_convolutions_sees_twice_its_reach(kernel_size: int) -> None:
    side = 15
    spec = of("metamixer", side, 4, kernel_size=kernel_size)
    module = PlainMetaMixer(spec)
    randomise_(module, seed=2)
    x_BHWC = noise(1, side, side, 4)
    changed = x_BHWC.clone()
    changed[:, side // 2, side // 2] += 1
    moved_HW = (module(changed) != module(x_BHWC)).any(dim=(0, 3))
    reach = kernel_size - 1
    expected = torch.zeros(side, side, dtype=torch.bool)
    expected[
        side // 2 - reach : side // 2 + reach + 1, side // 2 - reach : side // 2 + reach + 1
    ] = 1
    assert torch.equal(moved_HW, expected)
    assert mixer_cost(spec).macs == 2 * kernel_size**2 * 4 * side**2


class Attended(nn.Module):
    """Values of tokens, added up by coefficients."""

    def __init__(self, reference: nn.MultiheadAttention) -> None:
        super().__init__()
        self.reference = reference

    def forward(self, coefficients_BTT: Tensor, x_BTD: Tensor) -> Tensor:
        weight_DD = self.reference.in_proj_weight.chunk(3)[2]
        return self.reference.out_proj(coefficients_BTT @ (x_BTD @ weight_DD.T))


class Compared(nn.Module):
    """Queries times keys."""

    def __init__(self, reference: nn.MultiheadAttention) -> None:
        super().__init__()
        self.reference = reference

    def forward(self, x_BTD: Tensor) -> Tensor:
        query_DD, key_DD, _ = self.reference.in_proj_weight.chunk(3)
        return (x_BTD @ query_DD.T) @ (x_BTD @ key_DD.T).mT * x_BTD.shape[-1] ** -0.5


@torch.no_grad()
def test_one_class_is_attention_an_mlp_and_convolutions_in_their_place() -> None:
    reference = nn.MultiheadAttention(8, 1, batch_first=True)
    attention = QueryKeyValue(
        Compared(reference), nn.Softmax(-1), Attended(reference), are_of_the_map=True
    )
    tokens_BTD = noise(2, 9, 8)
    expected = reference(tokens_BTD, tokens_BTD, tokens_BTD)[0]
    assert (attention(tokens_BTD) - expected).abs().max() <= 1e-5
    mlp = PlainMLP(of("metamixer", 6, 8, kernel_size=3))
    channels = QueryKeyValue(mlp.expand, nn.GELU(), mlp.project)
    assert torch.equal(channels(mlp.norm(tokens_BTD)), mlp(tokens_BTD))
    assert isinstance(PlainMetaMixer(of("metamixer", 6, 8, kernel_size=3)).mix, QueryKeyValue)


@pytest.mark.parametrize(
    ("width", "kernel_size", "group_size"), [(16, 3, 8), (12, 3, 8), (6, 5, 1)]
)
@torch.no_grad()
def test_a_sum_over_neighbours_is_that_of_unfolded_patches(
    width: int, kernel_size: int, group_size: int
) -> None:
    size, taps = (6, 9), kernel_size**2
    groups = -(-width // group_size)
    x_BCHW, kernels_BTHW = noise(2, width, *size), noise(2, taps * groups, *size, seed=1)
    patches = F.unfold(x_BCHW, kernel_size, padding=kernel_size // 2)
    patches = patches.reshape(2, width, taps, *size)
    shared = kernels_BTHW.reshape(2, taps, groups, *size).repeat_interleave(group_size, 2)
    expected = (patches * shared[:, :, :width].transpose(1, 2)).sum(2)
    found = NeighbourSum(width, size, kernel_size, group_size)(x_BCHW, kernels_BTHW)
    assert (found - expected).abs().max() <= 1e-5


@torch.no_grad()
def test_a_flat_map_has_one_small_kernel_away_from_its_borders() -> None:
    module = PlainLSConv(of("lsconv", 16, 2 * GROUP_SIZE, kernel_size=7)).eval()
    randomise_(module, seed=4)
    flat = noise(1, 16, 1, 1).expand(1, 16, 16, 16)
    kernels = module.predict(module.see(module.reduce(flat)))
    inner = kernels[:, :, 3:-3, 3:-3]
    assert torch.allclose(inner, inner[:, :, :1, :1].expand_as(inner), atol=1e-5)
    assert not torch.allclose(kernels, kernels[:, :, 8:9, 8:9].expand_as(kernels), atol=1e-5)


def test_learnt_spacings_have_three_numbers_per_element_whatever_the_kernel() -> None:
    costs = [mixer_cost(of("dcls", 16, 8, kernel_size=size, num_elements=6)) for size in (5, 9, 17)]
    assert [cost.params for cost in costs] == 3 * [8 * (6 + 2 * 6) + 8]
    assert [cost.macs for cost in costs] == [256 * 8 * size**2 for size in (5, 9, 17)]


def test_kernels_of_positions_cost_what_a_depthwise_convolution_does() -> None:
    found, plain = (
        mixer_cost(of(operator, 14, 8, kernel_size=5)) for operator in ("tvconv", "convnext")
    )
    assert found.macs == plain.macs == 25 * 8 * 14 * 14
    assert found.vectors == 25 * 8 * 14 * 14


def test_waves_with_half_the_expansion_cost_less_than_a_convnext_block() -> None:
    for width in (16, 64, 96):
        waves = signature_cost(of("spartan", 14, width, expand_ratio=2, kernel_size=3))
        block = signature_cost(of("convnext", 14, width, kernel_size=7))
        assert waves.macs < block.macs
        assert waves.params < block.params


def test_more_bands_have_no_more_kernel_parameters() -> None:
    """What grows is the head that weighs them: a matrix of two, and a bias."""
    params = [mixer_cost(of("fdconv", 14, 8, kernel_size=5, num_bands=n)).params for n in (1, 2, 4)]
    assert [n - 8 * 25 for n in params] == [bands * (2 * 8 + 1) for bands in (1, 2, 4)]
