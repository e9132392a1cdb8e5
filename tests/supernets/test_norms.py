"""Norms are what their papers say, and every one has weights of its own."""

import torch
from torch import nn

from nas.testing.norms import OPERATORS, space_with
from search_spaces.norms import NORMS
from search_spaces.norms._base import DEFAULT_NORM
from supernets.calibrate import recalibrated
from supernets.norms.bn_hardswish import BatchNormHardSwishLayers
from supernets.norms.evonorm_b0 import EvoNormB0
from supernets.norms.evonorm_s0 import EPS, EvoNormS0
from supernets.norms.ibn_relu6 import InstanceBatchNorm
from supernets.supernet import Supernet, largest_signatures
from tests.strategies import noise, randomise_, slots_of


def test_hard_swish_is_the_published_one() -> None:
    x = 4 * noise(100)
    expected = x * torch.nn.functional.relu6(x + 3) / 6
    torch.testing.assert_close(BatchNormHardSwishLayers().act()(x), expected)


@torch.no_grad()
def test_evonorm_is_the_published_formula() -> None:
    module = EvoNormS0(24)
    randomise_(module, seed=0)
    x = 2 * noise(3, 24, 5, 7) + noise(24, 1, 1, seed=1)
    groups = x.reshape(3, 3, 8, 5, 7)
    std = (groups.var((2, 3, 4), correction=0, keepdim=True) + EPS).sqrt()
    v, gamma, beta = (p.reshape(24, 1, 1) for p in (module.v, module.gamma, module.beta))
    divided = (x.reshape(3, 3, 8, 5, 7) / std).reshape(x.shape)
    torch.testing.assert_close(module(x), divided * torch.sigmoid(v * x) * gamma + beta)


def test_every_norm_has_weights_of_its_own_and_the_default_those_without_a_name() -> None:
    of_block = largest_signatures(space_with(tuple(NORMS.names())))["stage1.block1"]
    norms = ("", *(f"_{name}" for name in NORMS.names() if name != DEFAULT_NORM))
    sizes = {"basic": "", "mbconv": "", "moat": "_16"}
    names = {f"{name}{norm}{sizes[name]}" for name in OPERATORS for norm in norms}
    assert set(of_block) == {f"operators.{name}" for name in names}


@torch.no_grad()
def test_a_network_without_batch_norm_in_its_blocks_measures_those_that_are_left() -> None:
    space = space_with(("evonorm-s0",))
    network = Supernet(space).extract(slots_of(space, operator="mbconv"))
    left = [name for name, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)]
    assert "stem.layer.norm" in left
    assert all(".project." in name for name in left if "block" in name)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    after = recalibrated(network, [noise(4, 1, 32, 32), noise(4, 1, 32, 32, seed=1)]).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.rpartition(".")[0] for name in changed} == set(left)
    assert not any(name.endswith((".weight", ".bias")) for name in changed)


@torch.no_grad()
def test_half_of_ibn_forgets_what_an_image_does_to_a_channel_and_half_does_not() -> None:
    """And half of it is batch norm, with as many parameters in all."""
    module, plain = InstanceBatchNorm(9), nn.BatchNorm2d(9)
    randomise_(module, seed=0)
    plain.load_state_dict(module.state_dict())
    assert sum(p.numel() for p in module.parameters()) == 2 * 9
    x = noise(4, 9, 6, 5)
    changed = x * (0.5 + noise(4, 9, 1, 1, seed=1).abs()) + noise(4, 9, 1, 1, seed=2)
    for mode in (True, False):
        found, other = module.train(mode)(x), module(changed)
        torch.testing.assert_close(found[:, :4], other[:, :4], atol=1e-3, rtol=1e-3)
        assert (found[:, 4:] - other[:, 4:]).abs().max() > 0.1
        alone = module(x[:1])[:, :4]
        torch.testing.assert_close(found[:1, :4], alone)
        plain.load_state_dict(module.state_dict())
        torch.testing.assert_close(found[:, 4:], plain.train(mode)(x)[:, 4:])


def test_statistics_of_ibn_follow_the_batch_as_those_of_batch_norm() -> None:
    module, plain = InstanceBatchNorm(8), nn.BatchNorm2d(8)
    for seed in range(3):
        x = 2 * noise(4, 8, 5, 5, seed=seed) + 1
        module(x), plain(x)
    torch.testing.assert_close(module.running_mean, plain.running_mean)
    torch.testing.assert_close(module.running_var, plain.running_var)
    before = module.state_dict()["running_mean"].clone()
    module.is_frozen = True
    module(noise(4, 8, 5, 5))
    assert torch.equal(module.state_dict()["running_mean"], before)


@torch.no_grad()
def test_evonorm_b0_is_the_published_formula() -> None:
    module = EvoNormB0(6)
    randomise_(module, seed=0)
    x = 2 * noise(3, 6, 5, 7) + noise(6, 1, 1, seed=1)
    of_image = (x.var((2, 3), correction=0, keepdim=True) + module.eps).sqrt()
    v, gamma, beta = (p.reshape(6, 1, 1) for p in (module.slope, module.gamma, module.beta))
    for mode in (False, True):
        variance = x.var((0, 2, 3), correction=0) if mode else module.running_var.clone()
        of_batch = (variance + module.eps).sqrt().reshape(6, 1, 1)
        expected = x / torch.maximum(of_batch.expand_as(x), (1 + v) * x + of_image) * gamma + beta
        torch.testing.assert_close(module.train(mode)(x), expected)
