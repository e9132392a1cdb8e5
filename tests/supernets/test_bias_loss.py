"""Bias loss: weights of images by the variance of their features."""

import math

import pytest
import torch

from nas.testing.methods import small_space
from search_spaces import UserError
from supernets.methods.bias_loss import BiasLoss
from supernets.methods.sortednet import SortedNet
from tests.contexts import context_for, gradients_of, largest_difference
from tests.strategies import noise


@pytest.mark.parametrize("turn", [0, 3])
def test_without_alpha_and_beta_it_is_the_loss_on_labels(turn: int) -> None:
    plain, weighted = SortedNet(space=small_space()), BiasLoss(space=small_space())
    without = BiasLoss(space=small_space(), bias_alpha=0.0, bias_beta=0.0)
    expected = gradients_of(plain, context_for(plain, turn=turn))
    assert largest_difference(gradients_of(without, context_for(plain, turn=turn)), expected) < 1e-6
    assert (
        largest_difference(gradients_of(weighted, context_for(plain, turn=turn)), expected) > 1e-3
    )


def test_an_image_counts_by_the_variance_of_its_map() -> None:
    maps_BCHW = noise(1, 4, 3, 3) * torch.tensor([0.0, 1.0, 2.0, 3.0]).reshape(4, 1, 1, 1)
    weights_B = BiasLoss(space=small_space(), bias_alpha=0.5, bias_beta=0.2).weights(maps_BCHW)
    expected = [math.exp(0.5 * share**2) - 0.2 for share in (0, 1 / 3, 2 / 3, 1)]
    assert weights_B.tolist() == pytest.approx(expected, rel=1e-4)


def test_images_of_equal_variance_count_alike() -> None:
    weights_B = BiasLoss(space=small_space()).weights(torch.ones(4, 2, 3, 3))
    assert weights_B.tolist() == pytest.approx([1 - 0.3] * 4)


def test_weights_below_0_are_refused() -> None:
    with pytest.raises(UserError, match="'bias-loss': bias_beta is 1.5. It must be at least 0 and"):
        BiasLoss(space=small_space(), bias_beta=1.5)
