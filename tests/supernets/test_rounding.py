"""Weights of few bits, simulated: those of a member alone, and those that its formats give it."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from compress.quantize._weights import WEIGHT_MAX, channel_scale, integers
from nas.testing._spaces import random_supernet, uniform
from nas.testing.methods import small_images
from search_spaces import SearchSpace
from supernets.context import Context
from supernets.methods._rounding import (
    bits_of_format,
    layer_weights,
    offsets,
    rounding_error,
    step_of,
    uniform_noise,
)
from supernets.methods.sortednet import SortedNet
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from tests.strategies import mini_space, noise

PLAN = TrainPlan(steps=4, batch_size=8)


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    small = mini_space(operators=("mbconv", "window"))
    return small.with_policy(("fp32", "int8w", "int4w"), (0.0, 0.5))


@pytest.fixture(scope="module")
def context(space: SearchSpace) -> Context:
    batches = SupernetBatches(PLAN, SortedNet(space=space))
    return batches.context(random_supernet(space).train(), small_images(), 0)


def member(space: SearchSpace, precision: str) -> tuple[int, ...]:
    """A pruned one of the smaller widths."""
    return uniform(space, 0, precision=precision, sparsity=0.5, operator="mbconv")


def test_rounded_weights_are_those_of_the_file(space: SearchSpace, context: Context) -> None:
    encoding = member(space, "int8w")
    slots = space.slots(encoding)
    before = context.supernet.extract(slots)
    with context.moved(offsets(context, encoding, bits_of_format, rounding_error)):
        rounded = context.supernet.extract(slots)
    layers = [m for m in before.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    others = [m for m in rounded.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == len(others) >= 8
    for layer, other in zip(layers, others, strict=True):
        scale = channel_scale(layer.weight, WEIGHT_MAX)
        on_grid = integers(layer.weight, scale, WEIGHT_MAX).float()
        expected = on_grid * scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
        torch.testing.assert_close(other.weight, expected)
        assert not torch.equal(other.weight, layer.weight)
        if layer.bias is not None:
            assert torch.equal(other.bias, layer.bias)


def test_what_a_member_does_not_use_stays(space: SearchSpace, context: Context) -> None:
    encoding = member(space, "int4w")
    found = offsets(context, encoding, bits_of_format, rounding_error)
    moved = sum(int((offset != 0).sum()) for offset in found if offset is not None)
    slots = space.slots(encoding)
    own = sum(
        weight.numel() for slot in slots for weight, _ in layer_weights(context.supernet, slot)
    )
    assert 0.8 * own < moved <= own
    assert any(offset is None for offset in found), "of other operators"


def test_formats_of_full_precision_move_nothing(space: SearchSpace, context: Context) -> None:
    encoding = member(space, "fp32")
    assert offsets(context, encoding, bits_of_format, rounding_error) == [None] * len(
        context.parameters
    )


def test_fewer_bits_move_further(space: SearchSpace, context: Context) -> None:
    def distance(bits: int) -> float:
        found = offsets(context, member(space, "fp32"), lambda *_: bits, rounding_error)
        return sum(float(offset.square().sum()) for offset in found if offset is not None)

    # Rounding errs by step^2 / 12 in the mean, and a bit less doubles the step.
    assert distance(5) / distance(7) == pytest.approx(16.0, rel=0.25)


def test_noise_has_the_variance_of_rounding() -> None:
    weight, rng = noise(64, 1024), np.random.default_rng(0)
    step = step_of(weight, 4)
    steps = uniform_noise(weight, 4, rng) / step
    assert float(steps.abs().max()) <= 0.5
    assert float(steps.mean()) == pytest.approx(0.0, abs=0.006)  # 5 standard deviations
    assert float(12 * steps.var()) == pytest.approx(1.0, abs=0.02)  # 5 standard deviations
    rounded = rounding_error(weight, 8) / step_of(weight, 8)
    assert float(12 * rounded.var()) == pytest.approx(1.0, abs=0.02)
    largest = weight.abs().amax(1, keepdim=True)
    torch.testing.assert_close(step, largest / 7)


def test_noise_comes_from_the_generator_alone() -> None:
    weight = noise(4, 3, 3, 3)
    first, again, other = (
        partial(uniform_noise, rng=np.random.default_rng(seed))(weight, 4) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
