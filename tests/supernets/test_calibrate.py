"""Recalibrated statistics are those of the whole set of images, however it is cut into batches."""

import pytest
import torch
from torch import nn

from search_spaces import SearchSpace
from supernets.calibrate import recalibrated
from supernets.network import PlainNetwork
from supernets.supernet import Supernet
from tests.strategies import noise, slots_of


@pytest.fixture
def network(random_supernet: Supernet, mini: SearchSpace) -> PlainNetwork:
    return random_supernet.extract(slots_of(mini, operator="mbconv"))


def uneven_batches() -> list[torch.Tensor]:
    """Four batches of which each has another mean: most of the variance lies between them."""
    return [noise(6, 1, 16, 16, seed=seed) + 3 * seed for seed in range(4)]


def norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


@torch.no_grad()
def test_the_first_layer_has_the_mean_and_variance_of_all_images_together(
    network: PlainNetwork,
) -> None:
    batches = uneven_batches()
    y = network.stem.layer.conv(torch.cat(batches)).transpose(0, 1).flatten(1)
    norm = norms(recalibrated(network, batches))[0]
    torch.testing.assert_close(norm.running_mean, y.mean(1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(norm.running_var, y.var(1), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_the_first_layer_does_not_depend_on_how_images_are_cut_into_batches(
    network: PlainNetwork,
) -> None:
    images = torch.cat(uneven_batches())
    four = norms(recalibrated(network, images.split(6)))[0].running_var.clone()
    one = norms(recalibrated(network, [images]))[0].running_var
    torch.testing.assert_close(four, one, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_on_one_batch_evaluation_then_equals_training(network: PlainNetwork) -> None:
    images = noise(64, 1, 16, 16)
    expected = network.train()(images)
    found = recalibrated(network, [images])(images)
    # Running variances are unbiased, batch variances are not: 1 / 1024 of a variance at 4 px.
    torch.testing.assert_close(found, expected, rtol=0.03, atol=0.03)


@torch.no_grad()
def test_old_statistics_leave_no_trace(network: PlainNetwork) -> None:
    once = recalibrated(network, uneven_batches()).state_dict()
    kept = {name: tensor.clone() for name, tensor in once.items()}
    for norm in norms(network):
        norm.running_mean.fill_(1e6)
        norm.running_var.fill_(1e6)
    again = recalibrated(network, uneven_batches()).state_dict()
    assert all(torch.equal(kept[name], again[name]) for name in kept if "running" in name)


def test_the_network_comes_back_in_evaluation_mode_without_hooks(network: PlainNetwork) -> None:
    found = recalibrated(network, uneven_batches())
    assert found is network
    assert not any(module.training for module in network.modules())
    assert not any(module._forward_pre_hooks for module in network.modules())
    before = norms(network)[0].running_mean.clone()
    with torch.no_grad():
        first, second = network(uneven_batches()[0]), network(uneven_batches()[0])
    assert torch.equal(first, second)
    assert torch.equal(before, norms(network)[0].running_mean)


@torch.no_grad()
def test_a_channel_that_never_varies_has_variance_zero_and_finite_outputs(
    network: PlainNetwork,
) -> None:
    network.stem.layer.conv.weight[0] = 0
    found = recalibrated(network, uneven_batches())
    assert norms(found)[0].running_var[0] == 0
    assert found(uneven_batches()[0]).isfinite().all()
