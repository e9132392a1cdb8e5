"""Integer grids: theorems about their noise, and the integers themselves."""

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from compress import compress
from compress.quantize._ranges import Range
from compress.quantize.int8 import (
    ACTIVATION_MAX,
    BIAS_MAX,
    QuantizedConv2d,
    QuantizedLinear,
    Quantizer,
)
from nas.testing._spaces import random_supernet as supernet_with_random_weights
from search_spaces import CandidateError
from tests.strategies import mini_space, noise, slots_of

finite = st.floats(-100, 100, allow_nan=False, width=32)


def quantizer(low: float, high: float) -> Quantizer:
    return Quantizer(Range(min(0.0, low), max(0.0, high), ()))


def decibels(error: torch.Tensor) -> float:
    return 10 * math.log10(error.double().square().mean().item())


def linear(layer: nn.Linear, *, weight_max: int = 127, in_scale: float = 0.02) -> QuantizedLinear:
    scale = torch.tensor(in_scale)
    return QuantizedLinear(layer, scale, quantizer(-20, 20), weight_max, ())


def gaussian_layer(seed: int = 0) -> nn.Linear:
    layer = nn.Linear(64, 32)
    with torch.no_grad():
        layer.weight.copy_(noise(32, 64, seed=seed))
        layer.bias.copy_(noise(32, seed=seed + 1))
    return layer


def test_noise_falls_by_6_decibels_per_bit_and_is_a_twelfth_of_the_step_squared() -> None:
    """Bennett, Spectra of quantized signals (1948); a grid twice as coarse is one bit less."""
    x = 2 * torch.rand(100_000, generator=torch.Generator().manual_seed(0)) - 1
    levels = []
    for factor in (1, 2, 4, 8):
        grid = quantizer(-factor, factor)
        levels.append(decibels(grid(x) - x))
        assert levels[-1] == pytest.approx(10 * math.log10(grid.scale.item() ** 2 / 12), abs=0.2)
    steps = [after - before for before, after in itertools.pairwise(levels)]
    assert steps == [pytest.approx(20 * math.log10(2), abs=0.3)] * 3


def test_weights_of_one_bit_less_have_6_decibels_more_noise() -> None:
    layer = gaussian_layer()
    levels = [
        decibels(linear(layer, weight_max=most).parameters_fp32()[0] - layer.weight)
        for most in (127, 63)
    ]
    assert levels[1] - levels[0] == pytest.approx(20 * math.log10(127 / 63), abs=0.5)


@given(finite, finite, st.lists(finite, min_size=1, max_size=20))
def test_quantizing_twice_changes_nothing_more(
    low: float, high: float, values: list[float]
) -> None:
    grid = quantizer(low, high)
    once = grid(torch.tensor(values))
    torch.testing.assert_close(grid(once), once, rtol=1e-6, atol=1e-6)


@given(finite, finite)
def test_zero_is_on_every_grid(low: float, high: float) -> None:
    """Padding and ReLU are exact only then."""
    assert quantizer(low, high)(torch.zeros(3)).abs().max() == 0


@given(finite, finite, st.lists(finite, min_size=1, max_size=20))
def test_values_within_the_range_move_by_at_most_half_a_step(
    low: float, high: float, values: list[float]
) -> None:
    grid = quantizer(low, high)
    low, high = min(low, 0.0), max(high, 0.0)
    x = torch.tensor(values).clamp(low, high)
    # The zero point is a whole number, so one end of the range may move by half a step.
    assert (grid(x) - x).abs().max() <= grid.scale * 1.001 + 1e-7
    inside = x.clamp(low + grid.scale, high - grid.scale)
    if low + grid.scale < high - grid.scale:
        assert (grid(inside) - inside).abs().max() <= grid.scale * 0.501 + 1e-6


def test_values_beyond_the_range_are_clipped_to_its_ends() -> None:
    grid = quantizer(-1.0, 3.0)
    found = grid(torch.tensor([-50.0, 50.0]))
    assert found.tolist() == pytest.approx([-1.0, 3.0], abs=grid.scale.item())
    assert len(grid(torch.linspace(-2, 4, 5000)).unique()) == ACTIVATION_MAX + 1


def test_a_value_that_was_never_anything_but_zero_stays_finite() -> None:
    grid = quantizer(0.0, 0.0)
    assert grid(torch.tensor([0.0, 1.0, -1.0])).isfinite().all()


def test_a_dead_channel_stays_dead() -> None:
    layer = gaussian_layer()
    with torch.no_grad():
        layer.weight[3] = 0
        layer.bias[3] = 0
    weight, bias = linear(layer).parameters_fp32()
    assert weight[3].abs().max() == 0 == bias[3]
    assert weight.isfinite().all()


@pytest.mark.parametrize("bias", [1e3, -1e6, 1e9])
def test_a_bias_too_large_for_its_scale_widens_the_scale_of_its_channel(bias: float) -> None:
    layer = gaussian_layer()
    with torch.no_grad():
        layer.bias[0] = bias
    found = linear(layer, in_scale=1e-6)
    assert found.bias.abs().max() <= 2**31 - 1
    assert abs(int(found.bias[0])) <= BIAS_MAX * 1.001
    assert found.parameters_fp32()[1][0].item() == pytest.approx(bias, rel=1e-5)


def test_biases_are_stored_finer_than_weights() -> None:
    layer = gaussian_layer()
    bias = linear(layer).parameters_fp32()[1]
    assert (bias - layer.bias).abs().max() <= 0.5 * 0.02 * layer.weight.abs().max() / 127 * 1.01


def test_reduced_range_costs_at_most_a_bit() -> None:
    space = mini_space(operators=("mbconv",)).with_policy(("int8",), (0,))
    random_supernet, slots = supernet_with_random_weights(space), slots_of(space)
    images, batches = noise(32, 1, 16, 16, seed=5), [noise(32, 1, 16, 16)]
    fp32 = compress(random_supernet.extract(slots), slots, batches).fp32(images)
    errors = [
        (compress(random_supernet.extract(slots), slots, batches, needs_reduced_range=reduced).network(images)
         - fp32).square().mean().sqrt().item()
        for reduced in (False, True)
    ]  # fmt: skip
    assert errors[0] < errors[1] < 3 * errors[0]
    assert errors[0] < 0.2 * fp32.std()


@torch.no_grad()
@pytest.mark.parametrize("dilation", [1, 2])
def test_an_integer_convolution_is_close_to_the_convolution(dilation: int) -> None:
    conv = nn.Conv2d(8, 16, 3, 2, 1, dilation=dilation)
    x = quantizer(-3, 3)(noise(4, 8, 9, 9).clamp(-3, 3))
    y = conv(x)
    output = quantizer(y.min().item(), y.max().item())
    found = QuantizedConv2d(conv, quantizer(-3, 3).scale, output, 127)(x)
    assert found.shape == y.shape
    assert (found - y).abs().max() < 2 * output.scale


@pytest.mark.parametrize(
    "padding", [{"padding": 1, "padding_mode": "reflect"}, {"padding": "same"}]
)
def test_padding_that_the_integer_kernel_has_not_is_refused(padding: dict[str, Any]) -> None:
    conv = nn.Conv2d(4, 4, 3, **padding)
    with pytest.raises(CandidateError, match="it can pad with zeros"):
        QuantizedConv2d(conv, torch.tensor(0.02), quantizer(-1, 1), 127)
