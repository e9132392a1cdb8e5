"""A convolution of products of one-way filters is one whose kernel has that rank."""

import pytest
import torch
from torch.nn import functional as F

from search_spaces import Options, Shape, signature_cost
from supernets.blocks.oneway import OneWayConv
from supernets.fold import folded
from supernets.network import plain_module
from tests.strategies import noise, randomise_, signature


@pytest.mark.parametrize(("kernel_size", "rank"), [(3, 4), (5, 2), (7, 9)])
@torch.no_grad()
def test_products_of_one_way_filters_are_a_kernel_of_that_rank(kernel_size: int, rank: int) -> None:
    module = OneWayConv(6, 10, kernel_size, rank, has_act=False).eval()
    randomise_(module, seed=0)
    columns, rows = module.column.weight[:, 0, :, 0], module.row.weight[:, 0, 0]
    inputs, outputs = module.across.weight.flatten(1), module.sum.conv.weight.flatten(1)
    kernel = torch.zeros(10, 6, kernel_size, kernel_size)
    for each in range(rank):
        filters = torch.outer(columns[each], rows[each])
        kernel += outputs[:, each, None, None, None] * inputs[each, :, None, None] * filters
    x_BCHW = noise(2, 6, 8, 9)
    expected = module.sum.norm(F.conv2d(x_BCHW, kernel, padding=kernel_size // 2))
    assert (module(x_BCHW) - expected).abs().max() <= 1e-4


@pytest.mark.parametrize("sparsity", [0.0, 0.5])
def test_a_kernel_has_a_number_per_input_row_column_and_output_of_every_product(
    sparsity: float,
) -> None:
    width, side = 32, 5
    pick = Options({"kernel_size": side, "expand_ratio": 2})
    spec = signature("oneway", pick, Shape.square(8, 8, width, width), sparsity)
    rank = 64 - int(64 * sparsity)
    found = signature_cost(spec)
    assert found.macs == 64 * 2 * rank * (width + width + 2 * side)
    assert found.weights == 2 * rank * (width + width + 2 * side)
    assert found.params == found.weights + 2 * 2 * width
    block = folded(plain_module(spec).eval())
    assert sum(p.numel() for p in block.parameters() if p.ndim > 1) == found.weights
