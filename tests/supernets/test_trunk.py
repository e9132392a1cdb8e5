"""Stems, downsamplings and heads are what their papers say."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from search_spaces import FULL_PRECISION, Options, Shape, Signature
from search_spaces.trunk.t2t import TOKEN_WIDTH, Split, splits_of
from supernets.fold import folded
from supernets.network import plain_module
from supernets.trunk.downsample_fused import PlainDownsampleFused
from supernets.trunk.downsample_residual import PlainDownsampleResidual
from supernets.trunk.grassmann import SCALE, PlainGrassmann, Subspaces
from supernets.trunk.t2t import SoftSplit, TokenAttention
from tests.strategies import noise, randomise_


def of(name: str, shape: Shape, **pick: int) -> Signature:
    return Signature(name, shape, Options(pick), Options(), FULL_PRECISION)


@pytest.mark.parametrize(("side", "tokens"), [(64, 4), (224, 14)])
def test_tokens_are_a_sixteenth_of_an_image_after_three_soft_splits(side: int, tokens: int) -> None:
    stem = of("t2t", Shape.square(side, tokens, 3, 24), stride=16)
    sizes = [split.size[0] for split in splits_of(stem)]
    assert sizes == [4 * tokens, 2 * tokens, tokens]
    assert [split.width for split in splits_of(stem)] == [147, 576, 576]


def test_the_stem_of_the_paper_gives_its_tokens() -> None:
    stem = of("t2t", Shape.square(64, 4, 3, 24), stride=16)
    assert plain_module(stem)(noise(2, 3, 64, 64)).shape == (2, 24, 4, 4)


@pytest.mark.parametrize(("kernel_size", "stride", "padding"), [(7, 4, 2), (3, 2, 1), (3, 1, 1)])
def test_a_soft_split_is_an_unfolding(kernel_size: int, stride: int, padding: int) -> None:
    size = 16 // stride, 24 // stride
    split = Split((16, 24), size, 5, kernel_size, stride)
    x_BCHW = noise(2, 5, 16, 24)
    unfolded = F.unfold(x_BCHW, kernel_size, padding=padding, stride=stride).transpose(1, 2)
    by_place = unfolded.reshape(2, -1, 5, kernel_size**2).transpose(2, 3).flatten(2)
    assert torch.equal(SoftSplit(split)(x_BCHW), by_place)


@torch.no_grad()
def test_attention_between_soft_splits_has_one_head_and_values_for_a_shortcut() -> None:
    layer = TokenAttention(27).double()
    randomise_(layer, seed=0)
    x_TD = noise(6, 27).double()
    q, k, v = layer.qkv(layer.norm(x_TD)).split(TOKEN_WIDTH, 1)
    rows = []
    for token in range(6):
        shares = torch.stack([q[token] @ k[other] for other in range(6)]) / TOKEN_WIDTH**0.5
        shares = shares.exp() / shares.exp().sum()
        seen = sum(share * value for share, value in zip(shares, v, strict=True))
        y = v[token] + layer.mix(seen)
        rows.append(y + layer.reduce(F.gelu(layer.expand(layer.mlp_norm(y)))))
    torch.testing.assert_close(layer(x_TD[None])[0], torch.stack(rows))


@torch.no_grad()
def test_the_shortcut_of_a_residual_downsampling_leaves_no_position_out() -> None:
    module = plain_module(of("downsample-residual", Shape.square(6, 3, 4, 8))).eval()
    assert isinstance(module, PlainDownsampleResidual)
    randomise_(module, seed=0)
    x_BCHW = noise(1, 4, 6, 6)
    nn.init.zeros_(module.project.norm.weight)
    nn.init.zeros_(module.project.norm.bias)
    means = x_BCHW.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    torch.testing.assert_close(module(x_BCHW), module.shortcut(means))


@torch.no_grad()
def test_a_fused_downsampling_adds_gated_channels_before_it_halves_the_map() -> None:
    module = plain_module(of("downsample-fused", Shape.square(6, 3, 8, 4))).eval()
    assert isinstance(module, PlainDownsampleFused)
    randomise_(module, seed=0)
    x_BCHW = noise(1, 8, 6, 6)
    inner = module.depthwise(x_BCHW)
    gates = module.attention.gates(inner)
    expected = module.reduce(x_BCHW + module.project(inner * gates))
    torch.testing.assert_close(module(x_BCHW), expected)
    assert module.attention.gates.squeeze.out_features == 2


def test_a_deep_stem_of_stride_4_has_one_convolution_more_in_place_of_a_pool() -> None:
    for stride, convolutions in ((1, 3), (2, 3), (4, 4)):
        module = plain_module(of("resnet-d", Shape.square(16, 16 // stride, 3, 8), stride=stride))
        assert sum(isinstance(child, nn.Conv2d) for child in module.modules()) == convolutions


@pytest.mark.parametrize("dimensions", [1, 2, 4])
def test_bases_of_subspaces_stay_orthonormal_while_they_are_trained(dimensions: int) -> None:
    module = Subspaces(12, 5, dimensions)
    optimizer = torch.optim.SGD(module.parameters(), lr=10.0)
    for seed in range(3):
        lengths = module(noise(8, 12, seed=seed)).reshape(8, 5, dimensions).square().sum(2)
        loss = F.cross_entropy(lengths, torch.arange(8) % 5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        basis_KDC = module.basis().reshape(5, dimensions, 12)
        products_KDD = basis_KDC @ basis_KDC.transpose(1, 2)
        apart = products_KDD - torch.eye(dimensions)
        assert apart.abs().max() <= 1e-4


@torch.no_grad()
def test_a_subspace_of_one_dimension_is_an_unsigned_cosine() -> None:
    module = Subspaces(12, 5, 1)
    x_BC = noise(8, 12)
    expected = F.cosine_similarity(x_BC[:, None], module.spanned[None, :, :, 0], dim=2).abs()
    torch.testing.assert_close(module(F.normalize(x_BC)).abs(), expected)


@torch.no_grad()
def test_a_class_scores_by_the_length_of_what_its_subspace_has_of_the_features() -> None:
    module = plain_module(of("grassmann", Shape.square(4, 1, 12, 5))).eval()
    assert isinstance(module, PlainGrassmann)
    x_BCHW = noise(3, 12, 4, 4)
    features = F.normalize(F.relu(x_BCHW).mean((2, 3)))
    spanned = module.classifier.spanned
    for number in range(5):
        projection = spanned[number] @ torch.linalg.pinv(spanned[number])
        length = (features @ projection).norm(dim=1)
        torch.testing.assert_close(module(x_BCHW)[:, number], SCALE * length, atol=1e-4, rtol=1e-4)
    deployed = folded(module)
    assert isinstance(deployed.get_submodule("classifier"), nn.Linear)
    torch.testing.assert_close(deployed(x_BCHW), module(x_BCHW))
