"""Units that a ReLU keeps at 0 become linear, and nothing else changes."""

import copy

import pytest
import torch
from torch import nn

from compress.activate import activate_, dead_rate, seen_units
from supernets.calibrate import recalibrated
from supernets.network import PlainNetwork
from tests.strategies import mini_space, noise, randomise_, slots_of

IMAGES = [noise(16, 3, 6, 6), noise(16, 3, 6, 6, seed=1)]


class Masked(nn.Module):
    """ReLU of some channels, the others as they are."""

    def __init__(self, is_linear_C: torch.Tensor) -> None:
        super().__init__()
        self.is_linear_C = is_linear_C

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        return torch.where(self.is_linear_C[:, None, None], x_BCHW, x_BCHW.relu())


def row() -> nn.Sequential:
    """1x1 kernels, so that no position is at a border."""
    network = nn.Sequential(
        *(nn.Conv2d(3, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 4, 1, bias=False), nn.BatchNorm2d(4)),
    ).eval()
    randomise_(network, seed=1)
    with torch.no_grad():
        network[1].bias.copy_(torch.linspace(-3.0, 1.0, 8))
    return network


@torch.no_grad()
def test_a_unit_that_is_raised_is_one_without_relu() -> None:
    found, expected = row(), row()
    (units,) = seen_units(found, IMAGES)
    assert activate_(found, IMAGES, 0.25) == 2
    is_linear_C = torch.zeros(8, dtype=torch.bool)
    is_linear_C[units.dead_rate_C.argsort(descending=True)[:2]] = True
    expected[2] = Masked(is_linear_C)
    for network in (found, expected):
        recalibrated(network, IMAGES)
    assert torch.allclose(found(IMAGES[0]), expected(IMAGES[0]), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(found(IMAGES[0]), recalibrated(row(), IMAGES)(IMAGES[0]), atol=1e-2)


@torch.no_grad()
def test_the_deadest_units_go_first_and_the_others_stay() -> None:
    network = row()
    (before,) = seen_units(network, IMAGES)
    activate_(network, IMAGES, 0.5)
    (after,) = seen_units(network, IMAGES)
    order = before.dead_rate_C.argsort(descending=True)
    assert (after.dead_rate_C[order[:4]] < 0.01).all()  # the smallest value seen is 0 itself
    assert torch.equal(after.dead_rate_C[order[4:]], before.dead_rate_C[order[4:]])
    assert dead_rate(network, IMAGES) < float(before.dead_rate_C.mean())


@torch.no_grad()
def test_units_that_were_never_dead_are_left_alone() -> None:
    network = row()
    network[1].bias.copy_(torch.full((8,), 50.0))
    before = copy.deepcopy(network.state_dict())
    assert activate_(network, IMAGES, 1.0) == 0
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())


@torch.no_grad()
def test_what_a_shortcut_or_no_norm_reads_cannot_be_had() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1))
    assert not seen_units(network.eval(), IMAGES)
    assert activate_(network, IMAGES, 1.0) == 0
    assert dead_rate(network, IMAGES) == 0.0


@pytest.mark.parametrize(("operator", "layers"), [("basic", 1), ("mbconv", 2), ("convnext", 0)])
@torch.no_grad()
def test_units_inside_of_blocks_are_had(operator: str, layers: int) -> None:
    space = mini_space(operators=(operator,))
    network = PlainNetwork(slots_of(space, eca=0)).eval()
    randomise_(network, seed=1)
    images = [noise(8, 1, 16, 16)]
    blocks = {units.norm.partition(".")[0] for units in seen_units(network, images)}
    inside = [units for units in seen_units(network, images) if "block" in units.norm]
    assert len(inside) == layers * len({name for name in blocks if "block" in name})
    before = dead_rate(network, images)
    assert (activate_(network, images, 0.5) > 0) == bool(layers)
    assert dead_rate(network, images) < before or not layers
