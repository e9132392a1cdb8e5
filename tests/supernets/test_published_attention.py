"""Published networks of attention in blocks: parameters and multiply-adds, from declared costs.

What slots do not have is counted on the modules themselves.
"""

from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from search_spaces import Options, Shape, signature_cost
from tests.strategies import noise, signature
from tests.supernets.test_published_networks import CLASSES, Norm

Outside = list[tuple[nn.Module, tuple[int, ...]]]
"""Modules, and the shapes of what they read."""


def counts(
    operator: str, size: int, depths: tuple[int, ...], picks: list[dict[str, int]], outside: Outside
) -> tuple[int, int]:
    """Parameters and multiply-adds; width is 32 times the heads, and maps halve from `size`."""
    params = macs = 0
    for i, (depth, pick) in enumerate(zip(depths, picks, strict=True)):
        side, width = size // 2**i, 32 * pick["num_heads"]
        for index in range(depth):
            shape = Shape.square(side, side, width, width, index % 2, 32)
            cost = signature_cost(signature(operator, Options(pick), shape))
            params, macs = params + cost.params, macs + cost.macs
    for module, shape_read in outside:
        with FlopCounterMode(display=False) as counter:
            module(noise(1, *shape_read))
        params += sum(p.numel() for p in module.parameters())
        macs += counter.get_total_flops() // 2
    return params, macs


def downsamplings(width: int, side: int, *, bias: bool) -> Outside:
    """Three 3x3 convolutions of stride 2 with a norm behind each, and the end of the network."""
    found: Outside = []
    for i in range(3):
        own = width * 2**i
        convolution = nn.Conv2d(own, 2 * own, 3, 2, 1, bias=bias)
        found.append((nn.Sequential(convolution, Norm(2 * own)), (own, side >> i, side >> i)))
    return [*found, *end(8 * width, side >> 3)]


def end(width: int, side: int) -> Outside:
    return [(Norm(width), (width, side, side)), (nn.Linear(width, CLASSES), (width,))]


def test_nat_mini() -> None:
    picks = [{"num_heads": n, "expand_ratio": 3, "kernel_size": 7} for n in (2, 4, 8, 16)]
    stem = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1), nn.Conv2d(32, 64, 3, 2, 1), Norm(64))
    outside: Outside = [(stem, (3, 224, 224)), *downsamplings(64, 56, bias=False)]
    params, macs = counts("neighbourhood", 56, (3, 4, 6, 5), picks, outside)
    assert params == 19_984_174  # 20 M in the paper
    assert round(macs / 1e9, 1) == 2.7


def test_cswin_t() -> None:
    picks = [
        {"num_heads": n, "expand_ratio": 4, "stripe_width": stripe}
        for n, stripe in ((2, 1), (4, 2), (8, 7), (16, 7))
    ]
    stem = nn.Sequential(nn.Conv2d(3, 64, 7, 4, 2), Norm(64))
    outside: Outside = [(stem, (3, 224, 224)), *downsamplings(64, 56, bias=True)]
    params, macs = counts("cswin", 56, (1, 2, 21, 1), picks, outside)
    assert params == 22_320_552  # 23 M in the paper, whose code has these layers
    assert round(macs / 1e9, 1) == 4.3


def test_swin_v2_t() -> None:
    picks = [{"num_heads": n, "expand_ratio": 4} for n in (3, 6, 12, 24)]
    outside: Outside = [(nn.Sequential(nn.Conv2d(3, 96, 4, 4), Norm(96)), (3, 256, 256))]
    for i in range(3):
        width, side = 96 * 2**i, 32 >> i
        merging = nn.Sequential(nn.Conv2d(4 * width, 2 * width, 1, bias=False), Norm(2 * width))
        outside.append((merging, (4 * width, side, side)))
    params, macs = counts("swinv2", 64, (2, 2, 6, 2), picks, [*outside, *end(768, 8)])
    assert params == 28_351_570  # torchvision's number, whose keys have biases, too
    assert round(macs / 1e9, 1) == 5.9  # biases as deployed
