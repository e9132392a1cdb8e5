"""Slicing: prefixes, centres, kept lists, and which ones pruning keeps."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Options, Shape
from supernets._elastic import KERNEL, cut
from supernets._modules import initialise
from supernets.blocks.mbconv import ElasticMBConv
from supernets.channel_parts.mlp import ElasticMLP
from supernets.criteria.magnitude import Magnitude
from supernets.mixers.window import ElasticWindow
from supernets.supernet import ElasticSlot, largest_of
from tests.strategies import noise, randomise_, signature

PLACE = Shape.square(8, 8, 16, 16, 0, 4)


def mbconv(width: int = 16, expand_ratio: int = 3, sparsity: float = 0.0):
    pick = Options({"kernel_size": 5, "expand_ratio": expand_ratio})
    return signature("mbconv", pick, Shape.square(8, 8, width, width, 0, 4), sparsity)


def window(num_heads: int = 4, sparsity: float = 0.0):
    pick = Options({"num_heads": num_heads, "expand_ratio": 2})
    return signature("window", pick, PLACE, sparsity)


def test_a_number_takes_the_first_so_many() -> None:
    tensor = torch.arange(12.0).reshape(4, 3)
    part = cut(tensor, ("out", None), {"out": 2})
    assert torch.equal(part, tensor[:2])
    assert part.data_ptr() == tensor.data_ptr(), "a prefix is a view, not a copy"


def test_a_kernel_takes_the_centre() -> None:
    tensor = torch.arange(49.0).reshape(1, 1, 7, 7)
    part = cut(tensor, (None, None, KERNEL, KERNEL), {KERNEL: 3})
    assert torch.equal(part, tensor[:, :, 2:5, 2:5])


def test_a_list_takes_exactly_these() -> None:
    tensor = torch.arange(12.0).reshape(4, 3)
    part = cut(tensor, ("out", "in"), {"out": torch.tensor([1, 3]), "in": 2})
    assert torch.equal(part, tensor[[1, 3]][:, :2])


def test_before_ranking_the_first_channels_are_kept() -> None:
    block = ElasticMBConv(mbconv())
    randomise_(block, seed=0)
    assert block.kept("hidden", 48, mbconv(sparsity=0.5)).tolist() == list(range(24))


def test_after_ranking_the_channels_with_the_largest_weights_are_kept() -> None:
    block = ElasticMBConv(mbconv())
    randomise_(block, seed=0)
    large = [
        1,
        5,
        7,
        11,
        12,
        20,
        21,
        30,
        33,
        34,
        40,
        47,
        2,
        9,
        16,
        18,
        22,
        24,
        26,
        28,
        36,
        38,
        44,
        45,
    ]
    with torch.no_grad():
        block.full.project.conv.weight[:, large] *= 100
    block.rank(Magnitude())
    assert block.kept("hidden", 48, mbconv(sparsity=0.5)).tolist() == sorted(large)


def test_a_narrower_member_keeps_the_best_of_its_own_channels() -> None:
    block = ElasticMBConv(mbconv())
    randomise_(block, seed=0)
    with torch.no_grad():
        block.full.project.conv.weight[:, 16:] *= 100
    block.rank(Magnitude())
    kept = block.kept("hidden", 16, mbconv(width=8, expand_ratio=2, sparsity=0.5))
    assert len(kept) == 8
    assert kept.max() < 16


def test_batch_norm_that_silences_a_channel_makes_it_unimportant() -> None:
    block = ElasticMBConv(mbconv())
    randomise_(block, seed=0)
    with torch.no_grad():
        block.full.depthwise.norm.weight[:24] = 0
    block.rank(Magnitude())
    assert block.kept("hidden", 48, mbconv(sparsity=0.5)).tolist() == list(range(24, 48))


def test_a_silent_output_column_makes_a_hidden_channel_of_the_mlp_unimportant() -> None:
    mlp = ElasticMLP(window())
    randomise_(mlp, seed=0)
    with torch.no_grad():
        mlp.full.project.weight[:, ::2] = 0
    mlp.rank(Magnitude())
    assert mlp.kept("hidden", 32, window(sparsity=0.5)).tolist() == list(range(1, 32, 2))


@pytest.mark.parametrize("silenced", ["values", "projection"])
def test_a_head_without_effect_is_pruned_first(silenced: str) -> None:
    mixer = ElasticWindow(window())
    randomise_(mixer, seed=0)
    with torch.no_grad():
        if silenced == "values":
            mixer.full.qkv.weight[32 + 4 : 32 + 8] = 0
        else:
            mixer.full.project.weight[:, 4:8] = 0
    mixer.rank(Magnitude())
    assert mixer.kept("heads", 4, window(sparsity=0.25)).tolist() == [0, 2, 3]


@given(st.sets(st.integers(0, 3), min_size=1))
def test_kept_heads_bring_their_queries_keys_values_and_columns(heads: set[int]) -> None:
    mixer = ElasticWindow(window())
    randomise_(mixer, seed=0)
    mixer.importance_heads.copy_(torch.tensor([float(i in heads) for i in range(4)]))
    part = mixer.weights(window(sparsity=1 - len(heads) / 4))
    channels = [4 * head + i for head in sorted(heads) for i in range(4)]
    qkv = mixer.full.qkv.weight.reshape(3, 16, 16)
    assert torch.equal(part["qkv.weight"], qkv[:, channels].reshape(-1, 16))
    assert torch.equal(part["project.weight"], mixer.full.project.weight[:, channels])
    assert torch.equal(part["bias_table"], mixer.full.bias_table[sorted(heads)])


def test_maps_of_other_sizes_have_windows_of_their_own_and_one_channel_part() -> None:
    pick = Options({"num_heads": 2, "expand_ratio": 2})
    sizes = ((16, 16), (8, 4))
    specs = [signature("window", pick, Shape(size, size, 8, 8, 1, 4)) for size in sizes]
    largest = largest_of(specs)
    assert list(largest) == ["operators.window_16", "operators.window_8x4", "mlp"]
    slot = ElasticSlot(largest)
    for spec, size in zip(specs, sizes, strict=True):
        assert slot(noise(2, 8, *size), spec).shape == (2, 8, *size)


def test_ranking_is_recorded_once_and_weights_may_move_on() -> None:
    block = ElasticMBConv(mbconv())
    randomise_(block, seed=0)
    block.rank(Magnitude())
    before = block.kept("hidden", 48, mbconv(sparsity=0.5)).tolist()
    randomise_(block, seed=1)
    assert block.kept("hidden", 48, mbconv(sparsity=0.5)).tolist() == before
    block.rank(Magnitude())
    assert block.kept("hidden", 48, mbconv(sparsity=0.5)).tolist() != before


def test_fresh_convolutions_keep_the_size_of_activations() -> None:
    block = ElasticMBConv(mbconv(width=32))
    initialise(block, torch.Generator().manual_seed(0))
    std = block.full.expand.conv.weight.std().item()
    # 3,072 weights of standard deviation (2 / 32) ** 0.5: 4 sigma is 5 %.
    assert std == pytest.approx((2 / 32) ** 0.5, rel=0.05)
    x = noise(2, 32, 8, 8)
    block.full.eval()
    assert torch.equal(block.full(x), x), "the projection's batch norm starts at zero"
