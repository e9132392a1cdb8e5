"""What is deployed as another module computes the same."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from search_spaces import Options, Shape, signature_cost
from search_spaces.operators.basic import DIFFERENCES
from search_spaces.operators.fdconv import band_of
from search_spaces.operators.unireplk import BRANCHES
from supernets._merged import BandedDepthwise, SpacedDepthwise, WeightedConv2d
from supernets._neighbours import GeneratedKernels
from supernets.blocks.basic import PlainBasic
from supernets.fold import folded
from supernets.mixers.unireplk import PlainUniRepLK
from tests.strategies import noise, randomise_, signature

LARGE = [size for size in BRANCHES if size > 1]


def large_kernel(kernel_size: int, width: int = 6) -> PlainUniRepLK:
    pick = Options({"kernel_size": kernel_size, "expand_ratio": 1})
    module = PlainUniRepLK(signature("unireplk", pick, Shape.square(9, 9, width, width)))
    randomise_(module, seed=1)
    return module.eval()


@pytest.mark.parametrize("kernel_size", LARGE)
@torch.no_grad()
def test_branches_of_a_large_kernel_become_one_convolution(kernel_size: int) -> None:
    module = large_kernel(kernel_size)
    found = folded(module)
    assert [type(m) for m in found.modules()] == [PlainUniRepLK, nn.Conv2d]
    assert isinstance(found.conv, nn.Conv2d)
    assert found.conv.kernel_size == (kernel_size, kernel_size)
    x_BHWC = noise(2, 9, 9, 6)
    assert (found(x_BHWC) - module(x_BHWC)).abs().max() <= 1e-4


def test_no_branch_reaches_beyond_the_large_kernel() -> None:
    for kernel_size, branches in BRANCHES.items():
        assert all(r * (k - 1) + 1 <= kernel_size for r, k in branches.items())


def test_without_branches_beside_it_a_kernel_has_its_batch_norm_alone() -> None:
    assert list(large_kernel(3).conv.branches) == ["whole"]


@torch.no_grad()
def test_density_1_is_an_ordinary_convolution_and_others_weigh_corners_twice() -> None:
    weighted = WeightedConv2d(4, 6, 3, 1, density=1.0)
    plain = nn.Conv2d(4, 6, 3, padding=1, bias=False)
    plain.load_state_dict(weighted.state_dict())
    x_BCHW = noise(2, 4, 7, 7)
    assert torch.equal(weighted(x_BCHW), plain(x_BCHW))
    weighted.density = 0.5
    density = weighted.kernel()[0] / weighted.weight
    row = torch.tensor([0.5, 1.0, 0.5])
    assert torch.allclose(density, torch.outer(row, row).expand_as(density))


@torch.no_grad()
def test_a_density_folds_into_the_kernel() -> None:
    pick = Options({"density": 0.75})
    module = PlainBasic(signature("basic", pick, Shape.square(8, 8, 8, 8))).eval()
    randomise_(module, seed=3)
    found = folded(module)
    assert not any(isinstance(m, WeightedConv2d) for m in found.modules())
    x_BCHW = noise(2, 8, 8, 8)
    assert (found(x_BCHW) - module(x_BCHW)).abs().max() <= 1e-5
    conv = module.expand.conv
    assert isinstance(conv, WeightedConv2d)
    assert (conv.merged()(x_BCHW) - conv(x_BCHW)).abs().max() <= 1e-5


def test_density_1_leaves_signatures_as_they_were() -> None:
    shape = Shape.square(8, 8, 8, 8)
    assert signature("basic", Options({"density": 1}), shape) == signature(
        "basic", Options({}), shape
    )


def shifted(x_BCHW: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """What lies so far below and to the right of every position; 0 beyond the border."""
    padded = F.pad(x_BCHW, (1, 1, 1, 1))
    height, width = x_BCHW.shape[2:]
    return padded[:, :, 1 + down : 1 + down + height, 1 + right : 1 + right + width]


CLOCKWISE = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))


@torch.no_grad()
def test_branches_of_differences_become_one_kernel() -> None:
    module = WeightedConv2d(3, 4, 3, 1, differences=DIFFERENCES)
    randomise_(module, seed=5)
    x_BCHW = noise(2, 3, 6, 7)
    expected = F.conv2d(x_BCHW, module.weight, padding=1)

    def add(weights_OI: torch.Tensor, differences: torch.Tensor) -> None:
        expected.add_(torch.einsum("oi,bihw->bohw", weights_OI, differences))

    for place, at in enumerate(CLOCKWISE):
        tap = shifted(x_BCHW, *at)
        add(module.central[..., place], tap - x_BCHW)
        add(module.angular[..., place], tap - shifted(x_BCHW, *CLOCKWISE[(place + 1) % 8]))
    for place in (-1, 0, 1):
        across = shifted(x_BCHW, place, -1) - shifted(x_BCHW, place, 1)
        add(module.horizontal[..., place + 1], across)
        down = shifted(x_BCHW, -1, place) - shifted(x_BCHW, 1, place)
        add(module.vertical[..., place + 1], down)
    assert (module(x_BCHW) - expected).abs().max() <= 1e-5
    assert (module.merged()(x_BCHW) - expected).abs().max() <= 1e-5


@torch.no_grad()
def test_details_cost_nothing_where_they_are_deployed_and_change_nothing_before_they_learn() -> (
    None
):
    shape = Shape.square(8, 8, 8, 8)
    detailed, plain = (signature("basic", Options({"details": n}), shape) for n in (4, 0))
    cost, plain_cost = signature_cost(detailed), signature_cost(plain)
    assert (cost.weights, cost.macs) == (plain_cost.weights, plain_cost.macs)
    assert not cost.grouped
    assert cost.params == plain_cost.params + 2 * (8 + 8 + 3 + 3) * 8 * 8
    assert plain == signature("basic", Options({}), shape)
    module, other = PlainBasic(detailed).eval(), PlainBasic(plain).eval()
    module.load_state_dict(other.state_dict(), strict=False)
    x_BCHW = noise(2, 8, 8, 8)
    assert torch.equal(module(x_BCHW), other(x_BCHW))


@pytest.mark.parametrize("dilation", [1, 2, 3])
@torch.no_grad()
def test_elements_at_taps_of_a_grid_are_a_dilated_convolution(dilation: int) -> None:
    reach = dilation + 1
    module = SpacedDepthwise(5, 2 * reach + 1, 9)
    y_M, x_M = torch.meshgrid(*2 * [torch.arange(-1.0, 2.0)], indexing="ij")
    places_2M = torch.stack((y_M.flatten(), x_M.flatten())) * dilation / reach
    module.places.copy_(places_2M.double().atanh())
    x_BCHW = noise(2, 5, 10, 10)
    weight = module.weight.reshape(5, 1, 3, 3)
    expected = F.conv2d(x_BCHW, weight, module.bias, 1, dilation, dilation, 5)
    assert (module(x_BCHW) - expected).abs().max() <= 1e-5
    assert (module.merged()(x_BCHW) - module(x_BCHW)).abs().max() <= 1e-5


def test_places_get_gradients() -> None:
    module = SpacedDepthwise(5, 7, 4)
    module(noise(2, 5, 9, 9)).square().sum().backward()
    assert module.places.grad is not None
    assert (module.places.grad != 0).all()


@pytest.mark.parametrize(("kernel_size", "num_bands"), [(3, 3), (5, 4), (7, 2)])
@torch.no_grad()
def test_kernels_of_bands_share_no_frequency_and_their_parameters(
    kernel_size: int, num_bands: int
) -> None:
    module = BandedDepthwise(4, band_of(kernel_size, num_bands))
    assert [p.numel() for p in module.parameters()] == [4 * kernel_size**2]
    kernels_CSKK = module.kernel()[0].reshape(4, num_bands, kernel_size, kernel_size)
    is_there_CSKK = torch.fft.fft2(kernels_CSKK).abs() > 1e-4
    assert is_there_CSKK.any(dim=(2, 3)).all()
    assert (is_there_CSKK.sum(1) <= 1).all()
    whole = copy.deepcopy(module)
    whole.bands = band_of(kernel_size, 1)
    assert torch.allclose(kernels_CSKK.sum(1), whole.kernel()[0][:, 0], atol=1e-5)


@torch.no_grad()
def test_stored_kernels_of_positions_are_those_that_were_generated() -> None:
    module = GeneratedKernels(6, (5, 8), 3, affinities=4, hidden=16, generator_kernel_size=3)
    found = module.eval().merged()
    assert [p.shape for p in found.parameters()] == [(1, 9 * 6, 5, 8)]
    assert torch.equal(found(), module())
