"""Images that a network's batch norms take for those that it was trained on."""

import pytest
import torch
from torch import nn

from compress.distilled import distilled
from search_spaces import UserError
from supernets.calibrate import recalibrated
from tests.compress.bring.models import ConvNeXt, ResNet
from tests.strategies import noise

SHAPE = (1, 16, 16)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """With statistics that images have which are not noise: they are smooth."""
    torch.manual_seed(0)
    images = nn.functional.avg_pool2d(noise(64, 1, 20, 20), 5, 1) * 5
    return recalibrated(ResNet(1, width=8, channels=1), [images])


def test_the_loss_falls_to_a_tenth_and_the_network_stays_as_it_was(network: nn.Module) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = distilled(network, shape=SHAPE, num_images=16, steps=60)
    assert found.loss < found.first_loss / 10
    assert found.images_BCHW.shape == (16, *SHAPE)
    assert not found.images_BCHW.requires_grad
    assert all(tensor.equal(before[name]) for name, tensor in network.state_dict().items())
    assert all(weight.requires_grad and weight.grad is None for weight in network.parameters())
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_equal_seeds_make_equal_images_and_others_do_not(network: nn.Module) -> None:
    first, again, other = (
        distilled(network, shape=SHAPE, seed=seed, num_images=2, steps=3).images_BCHW
        for seed in (1, 1, 2)
    )
    assert first.equal(again)
    assert not first.equal(other)


def test_a_network_without_batch_norm_is_refused() -> None:
    with pytest.raises(UserError, match="this one has none. Give images"):
        distilled(ConvNeXt(), shape=(3, 16, 16))
