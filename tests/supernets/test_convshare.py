"""ConvShareViT's shared kernels: how many weights they have, and what they compute."""

import pytest
import torch
from torch import Tensor

from search_spaces import Options, Shape, Signature
from search_spaces.operators.convshare import head_features, sheet_size
from supernets._modules import initialise
from supernets.mixers.convshare import PlainConvShare
from tests.strategies import noise, randomise_, signature


def of(width: int, heads: int = 2, kernel_size: int = 3) -> Signature:
    pick = Options({"num_heads": heads, "kernel_size": kernel_size, "expand_ratio": 2})
    return signature("convshare", pick, Shape((3, 2), (3, 2), width, width))


@pytest.mark.parametrize("width", [16, 24, 64, 100])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_a_projection_has_as_many_weights_as_its_kernel_whatever_the_width(
    width: int, kernel_size: int
) -> None:
    module = PlainConvShare(of(width, 1, kernel_size))
    weights = module.qkv.weight.numel() + module.project.weight.numel()
    assert weights == 4 * kernel_size**2
    assert module.qkv.bias is module.project.bias is None


def correlated(sheet: Tensor, kernel: Tensor) -> Tensor:
    """Of every place of the kernel inside of the sheet."""
    side = len(kernel)
    rows, columns = (length - side + 1 for length in sheet.shape)
    found = [
        (sheet[y : y + side, x : x + side] * kernel).sum()
        for y in range(rows)
        for x in range(columns)
    ]
    return torch.stack(found)


@pytest.mark.parametrize("width", [16, 19])
@torch.no_grad()
def test_attention_is_that_of_features_that_kernels_find_in_sheets(width: int) -> None:
    module = PlainConvShare(of(width))
    randomise_(module, seed=0)
    x_BHWC = noise(1, 3, 2, width)
    tokens = module.norm(x_BHWC)[0].reshape(6, width)
    height, breadth = sheet_size(width)
    padded = torch.cat((tokens, torch.zeros(6, height * breadth - width)), dim=1)
    sheets, total = padded.reshape(6, height, breadth), 0
    for head in range(2):
        q, k, v = (
            torch.stack(
                [correlated(sheet, module.qkv.weight[2 * part + head, 0]) for sheet in sheets]
            )
            for part in range(3)
        )
        assert q.shape == (6, head_features(width, 3))
        mixed = (q @ k.T / q.shape[1] ** 0.5).softmax(-1) @ v
        maps = torch.nn.functional.pad(mixed.reshape(6, height - 2, breadth - 2), (2, 2, 2, 2))
        total = total + torch.stack(
            [correlated(each, module.project.weight[0, head]) for each in maps]
        )
    expected = total[:, :width].reshape(1, 3, 2, width)
    torch.testing.assert_close(module(x_BHWC), expected, rtol=1e-4, atol=1e-5)


def test_kernels_fit_into_sheets_and_more_channels_take_no_smaller_ones() -> None:
    sizes = [of(width, kernel_size=7).pick.number("kernel_size") for width in range(4, 70)]
    assert sizes == sorted(sizes)
    assert set(sizes) == {1, 3, 5, 7}
    assert all(sheet_size(width)[0] * sheet_size(width)[1] >= width for width in range(1, 70))


@torch.no_grad()
def test_it_begins_as_the_identity() -> None:
    module = PlainConvShare(of(16))
    initialise(module, torch.Generator().manual_seed(0))
    assert not module(noise(1, 3, 2, 16)).any()
