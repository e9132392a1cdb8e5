"""Statistics of kernels: exact on made-up layers, and what they say of spoilt ones."""

import math

import pytest
import torch
from torch import nn

from compress.filters import filter_statistics, statistics_of


def random_weight(outputs: int = 64, inputs: int = 16) -> torch.Tensor:
    return torch.randn(outputs, inputs, 3, 3, generator=torch.Generator().manual_seed(0))


def test_kernels_like_noise_have_all_entropy_and_hardly_overlap() -> None:
    found = statistics_of("noise", random_weight())
    assert (found.filters, found.kernel_size, found.near_zero) == (1024, (3, 3), 0.0)
    assert found.entropy > 0.99
    # The mean cosine of directions in d dimensions, without its sign, is about sqrt(2 / (pi d)).
    assert found.orthogonality == pytest.approx(1 - math.sqrt(2 / (math.pi * 144)), abs=0.01)


def test_a_layer_of_zeros_is_found() -> None:
    found = statistics_of("zeros", torch.zeros(8, 4, 3, 3))
    assert (found.near_zero, found.entropy, found.orthogonality) == (1.0, 0.0, None)


def test_kernels_that_are_nearly_zero_count_as_such_by_the_largest_weight() -> None:
    weight = random_weight()
    weight[:16] *= 1e-4
    assert statistics_of("some", weight).near_zero == 0.25
    assert statistics_of("less", 1e-6 * weight).near_zero == 0.25


def test_copies_are_found_whatever_their_size_and_sign() -> None:
    kernel = random_weight(1, 1)
    scales = torch.linspace(-1, 2, 64).reshape(8, 8, 1, 1)
    assert statistics_of("one", kernel.expand(8, 8, 3, 3)).entropy == 0.0
    found = statistics_of("scaled", scales * kernel)
    assert found.entropy == pytest.approx(0.0, abs=1e-6)
    alike = statistics_of("outputs", random_weight(1, 8).expand(8, 8, 3, 3))
    assert alike.orthogonality == pytest.approx(0.0, abs=1e-9)


def test_two_equal_components_have_the_entropy_of_two() -> None:
    weight = torch.zeros(4, 1, 3, 3)
    for number, (place, value) in enumerate([(0, 1.0), (0, -1.0), (1, 1.0), (1, -1.0)]):
        weight[number, 0, 0, place] = value
    found = statistics_of("two", weight)
    assert found.entropy == pytest.approx(math.log(2) / math.log(3))
    # Of six pairs of outputs two lie on one axis.
    assert found.orthogonality == pytest.approx(1 - 2 / 6)


def test_only_kernels_larger_than_one_pixel_are_looked_at() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, (1, 5), groups=8), nn.Linear(8, 2))
    (found,) = filter_statistics(network)
    assert (found.layer, found.kernel_size, found.filters) == ("1", (1, 5), 8)


def test_a_spoilt_layer_of_a_network_stands_out() -> None:
    network = nn.Sequential(*(nn.Conv2d(8, 8, 3) for _ in range(4)))
    with torch.no_grad():
        network[1].weight.zero_()
        network[2].weight.copy_(network[2].weight[:1, :1].expand(8, 8, 3, 3))
    found = {one.layer: one for one in filter_statistics(network)}
    assert [one.near_zero for one in found.values()] == [0.0, 1.0, 0.0, 0.0]
    assert [one.entropy < 0.3 for one in found.values()] == [False, True, True, False]
