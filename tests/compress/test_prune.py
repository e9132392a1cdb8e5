"""Pruning by slicing, against torch-pruning's dependency graph as the oracle."""

import warnings

import pytest
import torch
from torch import nn

from search_spaces import Options, Shape, Signature
from supernets._elastic import AbstractElastic
from supernets.blocks.mbconv import ElasticMBConv
from supernets.channel_parts.mlp import ElasticMLP
from supernets.criteria.magnitude import Magnitude
from supernets.network import plain_module
from tests.strategies import noise, randomise_, signature

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch_pruning = pytest.importorskip("torch_pruning")

WIDTH, HIDDEN = 16, 48
PLACE = Shape.square(8, 8, WIDTH, WIDTH, 0, 4)


def member(operator: str, sparsity: float) -> Signature:
    pick = {"kernel_size": 5, "expand_ratio": HIDDEN // WIDTH, "num_heads": 2}
    return signature(operator, Options(pick), PLACE, sparsity)


def ours(elastic: AbstractElastic, plain: nn.Module, spec: Signature) -> nn.Module:
    """The plain module with the slices of the shared weights."""
    plain.load_state_dict({n: w.detach() for n, w in elastic.weights(spec).items()}, strict=False)
    return plain.eval()


def theirs(elastic: AbstractElastic, spec: Signature, example: torch.Tensor) -> nn.Module:
    """The largest module after torch-pruning removed the hidden channels that we do not keep."""
    module = elastic.full.eval()
    first = module.expand.conv if isinstance(elastic, ElasticMBConv) else module.expand
    kept = elastic.kept("hidden", HIDDEN, spec).tolist()
    removed = [channel for channel in range(HIDDEN) if channel not in kept]
    graph = torch_pruning.DependencyGraph().build_dependency(module, example_inputs=example)
    prune = (
        torch_pruning.prune_conv_out_channels
        if isinstance(first, nn.Conv2d)
        else torch_pruning.prune_linear_out_channels
    )
    graph.get_pruning_group(first, prune, idxs=removed).prune()
    return module


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("seed", [0, 1])
def test_an_inverted_residual_without_hidden_channels_is_what_the_dependency_graph_says(
    sparsity: float, seed: int
) -> None:
    block, spec = ElasticMBConv(member("mbconv", 0.0)), member("mbconv", sparsity)
    randomise_(block, seed=seed)
    block.rank(Magnitude())
    x = noise(4, WIDTH, 8, 8)
    mine = ours(block, plain_module(spec), spec)
    other = theirs(block, spec, x)
    assert other.expand.conv.out_channels == spec.kept.number("hidden") < HIDDEN
    torch.testing.assert_close(mine(x), other(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_channel_mlp_without_hidden_channels_is_what_the_dependency_graph_says(
    sparsity: float, seed: int
) -> None:
    mlp, spec = ElasticMLP(member("convnext", 0.0)), member("convnext", sparsity)
    randomise_(mlp, seed=seed)
    mlp.rank(Magnitude())
    x = noise(4, 8, 8, WIDTH)
    mine = ours(mlp, ElasticMLP.plain(spec), spec)
    other = theirs(mlp, spec, x)
    assert other.expand.out_features == spec.kept.number("hidden") < HIDDEN
    torch.testing.assert_close(mine(x), other(x), rtol=1e-5, atol=1e-5)


def test_the_oracle_can_tell_other_channels_apart() -> None:
    """Keeping as many, but not the most important ones, gives other outputs."""
    block, spec = ElasticMBConv(member("mbconv", 0.0)), member("mbconv", 0.5)
    randomise_(block, seed=0)
    x = noise(4, WIDTH, 8, 8)
    mine = ours(block, plain_module(spec), spec)(x)
    block.rank(Magnitude())
    assert (mine - theirs(block, spec, x)(x)).abs().max() > 0.01
