"""Sampling at places that the map decides, and the block that has it."""

import torch
from torch.nn import functional as F

from search_spaces import Options, Shape
from supernets._deformable import DeformableSum
from supernets.network import plain_module
from tests.strategies import noise, randomise_, signature


@torch.no_grad()
def test_a_deformable_sum_is_one_of_bilinear_samples() -> None:
    size, module = (5, 7), DeformableSum(6, (5, 7), 4)
    randomise_(module, seed=3)
    x_BCHW = noise(1, 6, *size)
    parts = module.predict(x_BCHW).reshape(1, 3, 9, 2, *size)
    y_HW, x_HW = torch.meshgrid(*(torch.arange(side) for side in size), indexing="ij")
    expected = torch.zeros_like(x_BCHW)
    for tap in range(9):
        for group, channels in enumerate((slice(0, 4), slice(4, 6))):
            y = y_HW + tap // 3 - 1 + parts[:, 0, tap, group].tanh()
            x = x_HW + tap % 3 - 1 + parts[:, 1, tap, group].tanh()
            places = torch.stack((2 * x / (size[1] - 1) - 1, 2 * y / (size[0] - 1) - 1), -1)
            samples = F.grid_sample(x_BCHW[:, channels], places, align_corners=True)
            expected[:, channels] += parts[:, 2, tap, group].unsqueeze(1) / 9 * samples
    assert (module(x_BCHW) - expected).abs().max() <= 1e-4


def test_the_block_of_four_kernels_keeps_the_size_of_its_map() -> None:
    for size in ((8, 12), (5, 5)):
        spec = signature("dvss", Options({"expand_ratio": 2}), Shape(size, size, 8, 8))
        assert plain_module(spec)(noise(1, 8, *size)).shape == (1, 8, *size)
        assert spec.shape.stride == (1, 1)
