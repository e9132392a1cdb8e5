"""What is compared of two networks' maps: affinities, and scores at three granularities."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from supernets.likenesses import AbstractLikeness, Affinity, Granularity
from supernets.likenesses.affinity import affinities
from supernets.network import PlainNetwork
from supernets.supernet import Supernet
from tests.strategies import noise, slots_of

LEVELS = ("image", "region", "pixel")


@pytest.fixture
def network(random_supernet: Supernet) -> PlainNetwork:
    slots = slots_of(random_supernet.space, operator="mbconv")
    return random_supernet.extract(slots).eval()


@pytest.fixture
def another(random_supernet: Supernet) -> PlainNetwork:
    """Of another operator, other widths and depths."""
    last = [number - 1 for number in random_supernet.space.cardinalities]
    return random_supernet.extract(random_supernet.space.slots(last)).eval()


def loss_of(likeness: AbstractLikeness[Any], network: nn.Module) -> Tensor:
    images = noise(4, 1, 16, 16)
    with likeness.recording(network) as recorded:
        network(images)
    return likeness(network, recorded, images)


def test_affinities_do_not_depend_on_what_channels_are() -> None:
    map_BCHW = noise(2, 8, 4, 4)
    turned, _ = torch.linalg.qr(noise(8, 8, seed=1))
    other = 3.0 * torch.einsum("dc,bchw->bdhw", turned, map_BCHW)
    torch.testing.assert_close(affinities(other), affinities(map_BCHW), atol=1e-5, rtol=1e-5)
    found = affinities(map_BCHW)
    assert found.shape == (2, 16, 16)
    torch.testing.assert_close(found.diagonal(dim1=1, dim2=2), torch.ones(2, 16))


@pytest.mark.parametrize("kind", ["affinity", *LEVELS])
def test_a_network_differs_from_another_one_and_not_from_itself(
    network: PlainNetwork, another: PlainNetwork, kind: str
) -> None:
    likeness: AbstractLikeness[Any] = Affinity(network)
    if kind in LEVELS:
        likeness = Granularity(guide=network, **{kind: 1.0})
    assert float(loss_of(likeness, network).detach()) == pytest.approx(0.0, abs=1e-5)
    loss = loss_of(likeness, another)
    assert float(loss.detach()) > 1e-3
    loss.backward()
    assert any(p.grad is not None and p.grad.any() for p in another.parameters())
    assert all(p.grad is None for p in network.parameters())


def test_each_granularity_can_be_switched_off(network: PlainNetwork, another: PlainNetwork) -> None:
    losses = [loss_of(Granularity(guide=network, **{name: 2.0}), another) for name in LEVELS]
    of_all = loss_of(Granularity(guide=network, image=2.0, region=2.0, pixel=2.0), another)
    torch.testing.assert_close(of_all, torch.stack(losses).sum())
    assert float(loss_of(Granularity(guide=network), another)) == 0.0
