"""Window attention against attention written down pair by pair."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from search_spaces import Options, Shape
from supernets.mixers.window import PlainWindow
from tests.strategies import noise, randomise_, signature


def window(height: int, width: int, *, index: int = 0, heads: int = 2) -> PlainWindow:
    """Random weights; 8 channels, heads of 4."""
    pick = Options({"num_heads": heads, "expand_ratio": 2})
    size = (height, width)
    module = PlainWindow(signature("window", pick, Shape(size, size, 8, 8, index, 4)))
    randomise_(module, seed=1)
    return module.eval()


def global_attention(module: PlainWindow, x_BHWC: torch.Tensor) -> torch.Tensor:
    """The whole map as one sequence, the bias looked up for each pair of positions."""
    batch, height, width, channels = x_BHWC.shape
    tokens = module.norm(x_BHWC).reshape(batch, height * width, channels)
    q, k, v = module.qkv(tokens).reshape(batch, -1, 3, module.heads, 4).permute(2, 0, 3, 1, 4)
    table = module.bias_table.reshape(module.heads, 2 * height - 1, 2 * width - 1)
    bias = torch.empty(module.heads, height * width, height * width)
    for i in range(height * width):
        for j in range(height * width):
            dy, dx = i // width - j // width, i % width - j % width
            bias[:, i, j] = table[:, dy + height - 1, dx + width - 1]
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    mixed = mixed.transpose(1, 2).reshape(batch, -1, module.heads * 4)
    return module.project(mixed).reshape(x_BHWC.shape)


@pytest.mark.parametrize("size", [(4, 4), (8, 5), (6, 9)])
@torch.no_grad()
def test_one_window_on_the_whole_map_is_global_attention_with_the_same_bias(
    size: tuple[int, int],
) -> None:
    module = window(*size)
    x = noise(2, *size, 8)
    torch.testing.assert_close(module(x), global_attention(module, x), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_each_window_of_an_unshifted_map_is_global_attention_of_its_own() -> None:
    module = window(12, 16)
    x = noise(1, 12, 16, 8)
    y = module(x)
    for top in (0, 6):
        for left in (0, 8):
            patch = (slice(None), slice(top, top + 6), slice(left, left + 8))
            expected = global_attention(module, x[patch].contiguous())
            torch.testing.assert_close(y[patch], expected, rtol=1e-5, atol=1e-5)


def regions(module: PlainWindow) -> torch.Tensor:
    """Which positions see each other in a shifted map: windows start at shift, not at 0."""
    rows, columns = (
        (torch.arange(side) - shift).div(part, rounding_mode="floor")
        for side, part, shift in zip(module.size, module.window, module.shift, strict=True)
    )
    return rows[:, None] * 1000 + columns


@pytest.mark.parametrize(
    ("size", "shift"), [((16, 16), (4, 4)), ((12, 16), (3, 4)), ((12, 7), (3, 0))]
)
@pytest.mark.parametrize("pixel", [(0, 0), (3, 4), (7, 6), (11, 3)])
@torch.no_grad()
def test_a_pixel_of_a_shifted_map_reaches_its_region_and_nothing_else(
    size: tuple[int, int], shift: tuple[int, int], pixel: tuple[int, int]
) -> None:
    module = window(*size, index=1)
    assert module.shift == shift
    x = noise(1, *size, 8)
    changed = x.clone()
    changed[0, pixel[0], pixel[1]] = noise(8, seed=9)
    reached = (module(x) - module(changed)).abs().amax((0, 3))
    region = regions(module)
    mine = region == region[pixel]
    assert (reached[mine] > 1e-6).all()
    assert (reached[~mine] < 1e-6).all()


@torch.no_grad()
def test_pairs_that_are_masked_get_no_weight_however_alike_they_are() -> None:
    """Logits of 40 and more, where untrained ones are about 1."""
    module = window(16, 16, index=1, heads=1)
    module.bias_table.zero_()
    module.norm = torch.nn.Identity()
    queries_and_keys = torch.eye(4, 8).repeat(2, 1)
    module.qkv.weight[:8], module.qkv.bias[:] = queries_and_keys, 0.0
    x = noise(1, 16, 16, 8)
    x[..., :4] = 5.0 * torch.nn.functional.normalize(x[..., :4], dim=-1)
    changed = x.clone()
    changed[0, 0, 0, :4] = x[0, 8, 8, :4] * 2
    changed[0, 0, 0, 4:] += 1
    logit = (changed[0, 0, 0, :4] * x[0, 8, 8, :4]).sum() / 2
    assert 20 < logit < 40
    region = regions(module)
    difference = (module(x) - module(changed)).abs().amax((0, 3))
    assert difference[region != region[0, 0]].max() < 1e-6
    assert difference[0, 0] > 0.01


@torch.no_grad()
def test_a_map_that_windows_do_not_divide_is_padded_and_cut_back() -> None:
    module = window(6, 11)
    assert (module.window, module.grid, module.padded) == ((6, 7), (1, 2), (6, 14))
    x = noise(1, 6, 11, 8)
    y = module(x)
    assert y.shape == x.shape
    torch.testing.assert_close(
        y[:, :, :7], global_attention(module, x[:, :, :7].contiguous()), rtol=1e-5, atol=1e-5
    )


@torch.no_grad()
def test_windows_in_files_are_kept_although_others_would_be_chosen_now() -> None:
    spec = signature(
        "window", Options({"num_heads": 2, "expand_ratio": 2}), Shape.square(9, 9, 8, 8, 0, 4)
    )
    module = PlainWindow(replace(spec, pick=Options({**spec.pick, "window_size": 7})))
    assert (module.padded, module.bias_table.shape) == ((14, 14), (2, 169))
    assert module(noise(1, 9, 9, 8)).shape == (1, 9, 9, 8)


@torch.no_grad()
def test_attention_does_not_grow_with_the_size_of_a_head() -> None:
    """Logits are divided by the root of the head's size, as in Vaswani et al. (2017)."""
    module = window(4, 4, heads=1)
    module.bias_table.zero_()
    x = noise(1, 4, 4, 8)
    tokens = module.norm(x).reshape(16, 8)
    q, k, v = module.qkv(tokens).chunk(3, -1)
    expected = module.project(((q @ k.T) / math.sqrt(4)).softmax(-1) @ v).reshape(1, 4, 4, 8)
    torch.testing.assert_close(module(x), expected, rtol=1e-5, atol=1e-5)
