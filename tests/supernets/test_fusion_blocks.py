"""What the papers say of blocks of several branches, and of convolution beside attention."""

import copy
from collections.abc import Callable
from itertools import product
from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from search_spaces import Options, Shape, Signature, declaration, signature_cost
from search_spaces.operators._base import AbstractMixer
from search_spaces.operators.glmix import num_regions
from search_spaces.operators.ntb import parts_of
from supernets._grouped import GroupedConv2d
from supernets._modules import ConvNorm
from supernets.blocks.e2gc import PlainE2GC
from supernets.blocks.incresnet import PlainIncResNet
from supernets.blocks.irmb import PlainIRMB, SpanningAttention
from supernets.blocks.mbconv import PlainMBConv
from supernets.blocks.ntb import PooledAttention
from supernets.blocks.osa import PlainOSA
from supernets.blocks.osnet import SharedGate
from supernets.fold import folded
from supernets.mixers.crossvit import Fusion, PlainCrossViT
from supernets.mixers.glmix import ClusterAttention, PlainGLMix
from supernets.mixers.unilocal import LocalAggregator
from supernets.network import plain_module
from supernets.supernet import ElasticSlot, largest_of
from tests.strategies import noise, randomise_, signature

TOLERANCE = 1e-5
Module = TypeVar("Module", bound=nn.Module)


def of(operator: str, size: tuple[int, int], width: int, head_dim: int = 4, **pick: float):
    shape = Shape(size, size, width, width, 0, head_dim)
    return signature(operator, Options({"expand_ratio": 2, **pick}), shape)


def randomised(module: Module) -> Module:
    randomise_(module, seed=1)
    return module.eval()


def at(layer: nn.Conv2d, x_C: Tensor) -> Tensor:
    """What a 1x1 convolution makes of one position."""
    assert layer.bias is not None
    return layer.weight[:, :, 0, 0] @ x_C + layer.bias


@torch.no_grad()
def test_with_a_depthwise_convolution_alone_a_meta_block_is_an_inverted_residual() -> None:
    block = randomised(PlainIRMB(of("irmb", (6, 5), 8, kernel_size=3, attention=0)))
    reference = PlainMBConv(of("mbconv", (6, 5), 8, kernel_size=3, eca=0)).eval()
    reference.load_state_dict(block.state_dict())
    x_BCHW = noise(2, 8, 6, 5)
    assert torch.equal(block(x_BCHW), reference(x_BCHW))


@torch.no_grad()
def test_with_neither_a_meta_block_is_an_mlp_of_every_position() -> None:
    block = randomised(PlainIRMB(of("irmb", (3, 4), 8, kernel_size=3, attention=0, depthwise=0)))
    x_BCHW = noise(1, 8, 3, 4)
    found, layers = block(x_BCHW), folded(block)
    expand, project = layers.get_submodule("expand.conv"), layers.get_submodule("project.conv")
    for y, x in product(range(3), range(4)):
        x_C = x_BCHW[0, :, y, x]
        expected = x_C + at(project, at(expand, x_C).clamp(0, 6))
        assert (found[0, :, y, x] - expected).abs().max() <= TOLERANCE


@torch.no_grad()
def test_spanning_attention_is_that_of_windows_and_of_grids() -> None:
    """A map of 12 x 6 px has two windows of 6 x 6, and two grids of every second row."""
    spec = of("irmb", (12, 6), 8, kernel_size=3)
    module = randomised(SpanningAttention(spec))
    x_BCHW = noise(1, 8, 12, 6)
    query_TND, key_TND = (
        part.flatten(2)[0].T.reshape(72, 2, 4) for part in module.qk(x_BCHW).chunk(2, dim=1)
    )
    value_TND = x_BCHW.flatten(2)[0].T.reshape(72, 2, 4)
    row_T = torch.arange(72) // 6
    expected = torch.zeros(72, 2, 4)
    for group_T, head in product((row_T // 6, row_T % 2), range(2)):
        logits_TT = query_TND[:, head] @ key_TND[:, head].T / 4**0.5
        logits_TT = logits_TT.masked_fill(group_T[:, None] != group_T, -torch.inf)
        expected[:, head] += logits_TT.softmax(-1) @ value_TND[:, head]
    found = module(x_BCHW).flatten(2)[0].T.reshape(72, 2, 4)
    assert (found - expected).abs().max() <= TOLERANCE


@torch.no_grad()
def test_a_local_aggregator_adds_up_values_of_neighbours_by_weights_of_their_places() -> None:
    module = randomised(LocalAggregator(4, 3))
    x_BHWC = noise(1, 5, 4, 4)
    found = module(x_BHWC)
    values = folded(module).get_submodule("values")
    for y, x in product(range(5), range(4)):
        total = module.sum.bias.clone()
        for row, column in product(range(3), range(3)):
            v, u = y + row - 1, x + column - 1
            if 0 <= v < 5 and 0 <= u < 4:
                total += module.sum.weight[:, 0, row, column] * at(values, x_BHWC[0, v, u])
        assert (found[0, y, x] - module.project(total)).abs().max() <= TOLERANCE


def test_local_and_global_blocks_take_each_others_place_and_share_an_mlp() -> None:
    local, attends = (
        of("unilocal", (6, 5), 8, kernel_size=5),
        of("uniglobal", (6, 5), 8, num_heads=2),
    )
    slot = ElasticSlot(largest_of([local, attends]))
    assert list(slot.operators) == ["unilocal", "uniglobal"]
    assert set(dict(slot.named_children())) >= {"mlp"}
    x_BCHW = noise(2, 8, 6, 5)
    assert slot(x_BCHW, local).shape == slot(x_BCHW, attends).shape == x_BCHW.shape


@pytest.mark.parametrize("spec", [of("ncb", (8, 6), 16), of("ntb", (8, 6), 16, sr_ratio=2)])
@torch.no_grad()
def test_no_norm_is_left_of_a_next_block_that_is_deployed(spec: Signature) -> None:
    module = randomised(plain_module(spec))
    found = folded(module)
    names = {type(child).__name__ for child in found.modules()}
    assert not [name for name in names if "Norm" in name and name != ConvNorm.__name__]
    x_BCHW = noise(2, 16, 8, 6)
    assert (found(x_BCHW) - module(x_BCHW)).abs().max() <= 1e-4


@torch.no_grad()
def test_pooled_attention_is_multi_head_attention_to_means_of_squares() -> None:
    module = randomised(PooledAttention(8, of("ntb", (4, 6), 12, sr_ratio=2)))
    assert module.heads == 2
    x_BCHW = noise(1, 8, 4, 6)
    own = folded(module)
    q, kv, project = (own.get_submodule(name) for name in ("q", "kv", "project"))
    pooled = x_BCHW[0].unflatten(2, (3, 2)).unflatten(1, (2, 2)).mean((2, 4)).flatten(1).T
    keys, values = torch.stack([at(kv, x_C) for x_C in pooled]).chunk(2, dim=1)
    for y, x in product(range(4), range(6)):
        query_C = at(q, x_BCHW[0, :, y, x])
        heads = [
            (keys[:, part] @ query_C[part] / 4**0.5).softmax(0) @ values[:, part]
            for part in (slice(0, 4), slice(4, 8))
        ]
        expected = x_BCHW[0, :, y, x] + at(project, torch.cat(heads))
        assert (module(x_BCHW)[0, :, y, x] - expected).abs().max() <= TOLERANCE


def test_a_quarter_of_wide_maps_is_convolved_and_a_group_of_narrow_ones() -> None:
    parts = [parts_of(Shape.square(7, 7, width, width, 0, 32)) for width in (256, 512, 1024, 96)]
    assert parts == [(192, 64), (384, 128), (768, 256), (64, 32)]


def clusters(size: tuple[int, int]) -> ClusterAttention:
    module = randomised(PlainGLMix(of("glmix", size, 8, kernel_size=3, num_heads=2)))
    return module.clusters


class Replaced(nn.Module):
    """In place of attention; keeps what it was given."""

    def __init__(self, answer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.answer, self.given = answer, torch.zeros(())

    def forward(self, x: Tensor) -> Tensor:
        self.given = x
        return self.answer(x)


@torch.no_grad()
def test_shares_of_clusters_and_of_positions_sum_to_1() -> None:
    module = clusters((11, 6))
    module.attention = Replaced(torch.ones_like)
    same = noise(1, 1, 1, 8).expand(1, 11, 6, 8)
    assert torch.allclose(module(noise(1, 11, 6, 8), same), torch.ones(1, 11, 6, 8), atol=TOLERANCE)
    assert module.attention.given.shape == (1, *num_regions((11, 6)), 8)
    assert torch.allclose(
        module.attention.given, same[:, :1, :1].expand(1, 6, 6, 8), atol=TOLERANCE
    )


@torch.no_grad()
def test_positions_are_gathered_and_given_back_by_cosine_similarity() -> None:
    module = clusters((4, 4))
    module.attention = Replaced(lambda x: x)
    x_BHWC, normed = noise(1, 4, 4, 8), noise(1, 4, 4, 8, seed=1)
    seeds, tokens = x_BHWC.reshape(16, 8), normed.reshape(16, 8)
    cosine = torch.nn.functional.cosine_similarity(seeds[:, None], tokens[None], dim=-1)
    gathered = (module.scale * cosine).softmax(1) @ tokens
    expected = (module.scale * cosine).softmax(0).T @ gathered
    assert (module(x_BHWC, normed).reshape(16, 8) - expected).abs().max() <= 1e-4


def test_attention_of_clusters_costs_the_same_on_every_map() -> None:
    rule = declaration("glmix")
    assert isinstance(rule, AbstractMixer)
    for side in (16, 32, 56):
        cost = rule.mixer_cost(of("glmix", (side, side), 16, kernel_size=5, num_heads=4))
        assert cost.attention == 3 * side**2 * 64 * 16 + 2 * 64**2 * 16


@torch.no_grad()
def test_maps_are_put_side_by_side_once() -> None:
    module = randomised(PlainOSA(of("osa", (5, 6), 8, growth=8, num_convs=3)))
    x_BCHW = noise(2, 8, 5, 6)
    first = module.convs[0](x_BCHW)
    second = module.convs[1](first)
    third = module.convs[2](second)
    expected = x_BCHW + module.project(torch.cat((x_BCHW, first, second, third), dim=1))
    assert torch.equal(module(x_BCHW), expected)
    assert [conv.conv.in_channels for conv in module.convs] == [8, 8, 8]


@torch.no_grad()
def test_a_grouped_convolution_of_a_smaller_group_is_a_part_of_that_of_a_larger_one() -> None:
    large, small = (GroupedConv2d(16, 3, group_size) for group_size in (8, 4))
    small.weight.copy_(large.weight[:, :4])
    dense = torch.zeros(16, 16, 3, 3)
    kernel, _ = large.kernel()
    for out, place in product(range(16), range(8)):
        dense[out, out // 8 * 8 + place] = kernel[out, place]
    x_BCHW = noise(2, 16, 5, 5)
    expected = torch.nn.functional.conv2d(x_BCHW, dense, None, 1, 1)
    assert (large(x_BCHW) - expected).abs().max() <= TOLERANCE
    for out, inputs in product(range(16), range(16)):
        if out // 4 == inputs // 4:
            assert torch.equal(small.kernel()[0][out, inputs % 4], dense[out, inputs])


def test_groups_have_as_many_channels_in_all_layers_and_cost_grows_with_them_alone() -> None:
    costs = []
    for width in (16, 32, 64):
        spec = of("e2gc", (8, 8), width, group_size=8)
        conv = PlainE2GC(spec).grouped.conv
        assert conv.in_channels // conv.groups == 8
        costs.append(signature_cost(spec).macs - 2 * 64 * width * 2 * width)
    assert costs == [64 * 9 * 8 * 2 * width for width in (16, 32, 64)]


@torch.no_grad()
def test_one_gate_treats_all_streams_alike() -> None:
    module = randomised(SharedGate(3, 8))
    x_BSCHW = noise(2, 3, 8, 5, 4)
    order = [2, 0, 1]
    found = module(x_BSCHW.flatten(1, 2)).unflatten(1, (3, 8))
    moved = module(x_BSCHW[:, order].flatten(1, 2)).unflatten(1, (3, 8))
    assert (found[:, order] - moved).abs().max() <= TOLERANCE
    params = [sum(p.numel() for p in SharedGate(streams, 8).parameters()) for streams in (1, 4)]
    assert params[0] == params[1]


@torch.no_grad()
def test_the_scale_of_a_residual_cell_multiplies_what_is_added() -> None:
    whole = randomised(PlainIncResNet(of("incresnet", (5, 4), 16, scale=1.0)))
    scaled = copy.deepcopy(whole)
    scaled.project.scale = 0.1
    x_BCHW = noise(2, 16, 5, 4)
    expected = x_BCHW + 0.1 * (whole(x_BCHW) - x_BCHW)
    for module in (scaled, folded(scaled)):
        assert (module(x_BCHW) - expected).abs().max() <= TOLERANCE


@torch.no_grad()
def test_one_query_to_another_granularity_is_multi_head_attention() -> None:
    module = randomised(Fusion(of("crossvit", (4, 6), 8, num_heads=2, sr_ratio=2)))
    reference = nn.MultiheadAttention(8, 2, batch_first=True)
    reference.in_proj_weight.copy_(torch.cat([module.q.weight, module.kv.weight]))
    reference.in_proj_bias.copy_(torch.cat([module.q.bias, module.kv.bias]))
    reference.out_proj.load_state_dict(module.project.state_dict())
    query_B1C, x_BTC = noise(2, 1, 8), noise(2, 6, 8, seed=1)
    expected = reference(query_B1C, x_BTC, x_BTC)[0]
    assert (module(query_B1C, x_BTC, 6) - expected).abs().max() <= TOLERANCE


@torch.no_grad()
def test_tokens_of_a_patch_are_given_the_same_and_see_other_patches() -> None:
    module = randomised(PlainCrossViT(of("crossvit", (4, 6), 8, num_heads=2, sr_ratio=2)))
    x_BHWC = noise(1, 4, 6, 8)
    found = module(x_BHWC).unflatten(2, (3, 2)).unflatten(1, (2, 2))
    assert torch.equal(found, found[:, :, :1, :, :1].expand_as(found))
    assert not torch.allclose(found[:, 0], found[:, 1])


def test_attention_between_granularities_is_linear_in_tokens() -> None:
    rule = declaration("crossvit")
    assert isinstance(rule, AbstractMixer)
    for side in (8, 16, 32):
        cost = rule.mixer_cost(of("crossvit", (side, side), 16, num_heads=2, sr_ratio=4))
        patches = side**2 // 16
        assert cost.attention - 2 * patches**2 * 8 == 2 * (side**2 + patches) * 8
