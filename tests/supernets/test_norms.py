"""Norms are what their papers say, and every one has weights of its own."""

import torch
from torch import nn

from nas.testing.norms import OPERATORS, space_with
from search_spaces.norms import NORMS
from supernets.calibrate import recalibrated
from supernets.norms.bn_hardswish import BatchNormHardSwishLayers
from supernets.norms.evonorm_s0 import EPS, EvoNormS0
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
    norms = ("", "_bn-hardswish", "_evonorm-s0")
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
