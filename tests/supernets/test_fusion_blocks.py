"""What the papers say of blocks of several branches, and of convolution beside attention."""

from itertools import product
from typing import TypeVar

import torch
from torch import Tensor, nn

from search_spaces import Options, Shape
from supernets.blocks.irmb import PlainIRMB, SpanningAttention
from supernets.blocks.mbconv import PlainMBConv
from supernets.fold import folded
from supernets.mixers.unilocal import LocalAggregator
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
