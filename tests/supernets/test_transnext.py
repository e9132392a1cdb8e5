"""TransNeXt's attention against attention written down query by query."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import Options, Shape, Signature, signature_cost
from supernets._neighbours import NeighbourProduct
from supernets._pooled_bias import GeneratedPooledBias
from supernets.mixers.transnext import PlainTransNeXt
from tests.strategies import noise, randomise_, signature

HEADS, DIM, WIDTH = 2, 4, 8


def of(height: int, width: int, ratio: int) -> Signature:
    pick = Options({"num_heads": HEADS, "sr_ratio": ratio, "expand_ratio": 2})
    size = (height, width)
    return signature("transnext", pick, Shape(size, size, WIDTH, WIDTH, 0, DIM))


def mixer(height: int, width: int, ratio: int) -> PlainTransNeXt:
    module = PlainTransNeXt(of(height, width, ratio))
    randomise_(module, seed=1)
    return module.eval()


def bias_of_pair(module: PlainTransNeXt, y: float, x: float) -> Tensor:
    """Of a key so far from its query, (N,)."""
    scaled = [8 * by / (side - 1) for by, side in zip((y, x), module.size, strict=True)]
    logs = torch.tensor([math.copysign(math.log2(abs(by) + 1) / 3, by) for by in scaled])
    own = module.bias
    hidden = F.gelu(own.hidden_weight @ logs + own.hidden_bias)
    return own.weight @ hidden + own.bias


def pooled(module: PlainTransNeXt, x_HWC: Tensor) -> Tensor:
    """Means of squares of what a linear layer and GELU make."""
    ratio, (height, width) = module.ratio, module.size
    if ratio == 1:
        return x_HWC
    seen = F.gelu(module.reduce(x_HWC))
    rows = [
        torch.stack(
            [seen[y : y + ratio, x : x + ratio].mean((0, 1)) for x in range(0, width, ratio)]
        )
        for y in range(0, height, ratio)
    ]
    return module.reduce_norm(torch.stack(rows))


def attended(module: PlainTransNeXt, x_HWC: Tensor, head: int, y: int, x: int) -> Tensor:
    """What one head of one query gives, (D,)."""
    part, ratio = slice(head * DIM, (head + 1) * DIM), module.ratio
    value = slice(HEADS * DIM + head * DIM, HEADS * DIM + (head + 1) * DIM)
    query = F.normalize(module.q(x_HWC[y, x])[part], dim=0)
    keys, values, biases, taps = [], [], [], []
    for tap in range(9 if ratio > 1 else 0):
        at = y + tap // 3 - 1, x + tap % 3 - 1
        if 0 <= at[0] < module.size[0] and 0 <= at[1] < module.size[1]:
            kv = module.kv(x_HWC[at])
            keys.append(kv[part])
            values.append(kv[value])
            biases.append(module.local_bias[tap // 3, tap % 3, head])
            taps.append(tap)
    cells = pooled(module, x_HWC)
    for row in range(cells.shape[0]):
        for column in range(cells.shape[1]):
            kv = module.kv(cells[row, column])
            keys.append(kv[part])
            values.append(kv[value])
            middle = (ratio - 1) / 2
            by = y - row * ratio - middle, x - column * ratio - middle
            biases.append(bias_of_pair(module, *by)[head])
    scale = F.softplus(module.temperature[head, 0, 0]) * math.log(len(keys))
    scaled = (query + module.query_embedding[head, 0]) * scale
    cosines = F.normalize(torch.stack(keys), dim=1) @ scaled
    weights = (cosines + torch.stack(biases)).softmax(0)
    if taps:
        learnt = query @ module.learnt_tokens[head] + module.token_bias[head, 0]
        weights = torch.cat((weights[: len(taps)] + learnt[taps], weights[len(taps) :]))
    return weights @ torch.stack(values)


@pytest.mark.parametrize(("size", "ratio"), [((6, 4), 2), ((3, 4), 1)])
@torch.no_grad()
def test_a_position_attends_to_neighbours_and_cells_as_the_paper_says(
    size: tuple[int, int], ratio: int
) -> None:
    module = mixer(*size, ratio)
    x_BHWC = noise(1, *size, WIDTH)
    found, x_HWC = module(x_BHWC)[0], module.norm(x_BHWC)[0]
    for y, x in ((0, 0), (1, 2), (size[0] - 1, 1), (size[0] - 1, size[1] - 1)):
        heads = [attended(module, x_HWC, head, y, x) for head in range(HEADS)]
        expected = module.project(torch.cat(heads))
        torch.testing.assert_close(found[y, x], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_weights_of_neighbours_and_cells_add_up_to_1_at_borders_too() -> None:
    module = mixer(8, 6, 2)
    inner = HEADS * DIM
    module.kv.weight[inner:], module.kv.bias[inner:] = 0.0, 1.0
    module.learnt_tokens.zero_()
    module.token_bias.zero_()
    module.project.weight.copy_(torch.eye(inner))
    module.project.bias.zero_()
    ones = module(noise(2, 8, 6, WIDTH))
    torch.testing.assert_close(ones, torch.ones_like(ones))


@torch.no_grad()
def test_a_stored_position_bias_is_the_one_that_was_generated() -> None:
    bias = GeneratedPooledBias((3, 2), 2, HEADS, 16)
    randomise_(bias, seed=0)
    merged = bias.merged()
    assert torch.equal(merged(), bias())
    assert sum(p.numel() for p in merged.parameters()) == HEADS * (2 * 6 - 2) * (2 * 4 - 2)


@torch.no_grad()
def test_products_with_neighbours_are_those_of_unfolded_patches() -> None:
    size, kernel_size, dilation = (6, 5), 3, 2
    bias_KKG = noise(kernel_size, kernel_size, 2, seed=2)
    x_BCHW, y_BCHW = noise(2, 8, *size), noise(2, 8, *size, seed=1)
    patches = F.unfold(y_BCHW, kernel_size, dilation, padding=dilation).reshape(2, 2, 4, 9, *size)
    expected = (patches * x_BCHW.reshape(2, 2, 4, 1, *size)).sum(2).transpose(1, 2)
    expected = expected + bias_KKG.reshape(9, 2, 1, 1)
    found = NeighbourProduct(8, size, kernel_size, 4, dilation)(x_BCHW, y_BCHW, bias_KKG)
    inside = F.unfold(torch.ones(1, 1, *size), kernel_size, dilation, padding=dilation)
    inside = inside.reshape(1, 9, 1, *size).expand_as(found) > 0
    torch.testing.assert_close(found[inside], expected[inside])
    assert (found[~inside] < -90).all()


def test_attention_costs_products_with_cells_and_three_with_neighbours() -> None:
    for ratio, cells in ((4, 49), (2, 196)):
        n, inner = 28 * 28, HEADS * DIM
        attention = signature_cost(of(28, 28, ratio)).attention
        assert attention == 2 * n * cells * inner + 3 * 9 * n * inner
    assert not [
        m for m in mixer(4, 4, 1).modules() if isinstance(m, (NeighbourProduct, nn.AvgPool2d))
    ]
