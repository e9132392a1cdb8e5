"""Training with noise in place of few bits: when, and of how many."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.testing._spaces import random_supernet
from nas.testing.methods import small_images, small_space
from search_spaces import UserError
from supernets.methods import _rounding
from supernets.methods.quantization_noise import QuantizationNoise
from supernets.methods.sortednet import SortedNet
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches

PLAN = TrainPlan(steps=40, batch_size=8, shards=1)


def gradients(method: Any, turn: int) -> list[Tensor | None]:
    supernet = random_supernet(small_space()).train()
    SupernetBatches(PLAN, method)(supernet, small_images(), turn, method.initial_state())
    return [parameter.grad for parameter in supernet.parameters()]


def same(first: list[Tensor | None], second: list[Tensor | None]) -> bool:
    pairs = zip(first, second, strict=True)
    return all(a is b is None or (a is not None and torch.equal(a, b)) for a, b in pairs)


def test_there_is_noise_from_a_share_of_the_training_on() -> None:
    noisy, plain = QuantizationNoise(space=small_space()), SortedNet(space=small_space())
    assert same(gradients(noisy, 9), gradients(plain, 9))
    assert not same(gradients(noisy, 10), gradients(plain, 10))
    assert noisy.phases == (0.0, 0.25)
    assert QuantizationNoise(space=small_space(), noisy_from=0.0).phases == (0.0,)


def test_all_layers_of_a_batch_have_the_bits_that_were_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[int] = []

    def spying(weight: Tensor, bits: int, rng: np.random.Generator) -> Tensor:
        found.append(bits)
        return torch.zeros_like(weight)

    monkeypatch.setattr(_rounding, "uniform_noise", spying)
    method = QuantizationNoise(space=small_space(), least_bits=3, most_bits=5, noisy_from=0.0)
    batches = []
    for turn in range(16):
        found.clear()
        gradients(method, turn)
        batches.append(set(found))
    assert all(len(bits) == 1 for bits in batches)
    assert set().union(*batches) == {3, 4, 5}


def test_bits_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(UserError, match="least_bits 8 is more than most_bits 4. Lower the one"):
        QuantizationNoise(space=small_space(), least_bits=8, most_bits=4)
    with pytest.raises(UserError, match="'quantization-noise': least_bits is 1"):
        QuantizationNoise(space=small_space(), least_bits=1)
