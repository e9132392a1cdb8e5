"""Folding batch norm changes no output."""

import pytest
import torch
from torch import nn

from search_spaces import SearchSpace
from search_spaces.operators._base import OPERATORS
from supernets.fold import folded
from supernets.supernet import Supernet
from tests.strategies import noise, slots_of


@pytest.mark.parametrize("operator", OPERATORS.names())
@torch.no_grad()
def test_outputs_stay_and_batch_norms_go(
    random_supernet_of_all: Supernet, mini_of_all: SearchSpace, operator: str
) -> None:
    network = random_supernet_of_all.extract(slots_of(mini_of_all, operator=operator))
    images = noise(4, 1, 16, 16)
    expected = network(images)
    found = folded(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in found.modules())
    assert (found(images) - expected).abs().max() <= 1e-4
    assert torch.equal(network(images), expected), "the network itself is left as it was"


def test_folding_in_training_mode_is_our_bug(
    random_supernet_of_all: Supernet, mini_of_all: SearchSpace
) -> None:
    network = random_supernet_of_all.extract(slots_of(mini_of_all)).train()
    with pytest.raises(AssertionError, match="evaluation mode"):
        folded(network)
