"""RMT-S, VOLO-D1, CvT-13 and ConViT-S, put together from our operators: parameters and multiply-adds.

As in `test_published_networks.py`, what slots do not have stands here; nothing is computed.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from search_spaces import Options, Shape, Signature, signature_cost
from supernets.network import plain_module
from tests.strategies import signature
from tests.supernets.test_published_networks import CLASSES, Embedding, Norm, head


class Depthwise(nn.Module):
    """A 3x3 convolution beside or inside of a block: counts, and gives its input back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The input."""
        self.conv(x_BCHW.new_zeros(len(x_BCHW), self.channels, *x_BCHW.shape[2:]))
        return x_BCHW


class ClassAttention(nn.Module):
    """VOLO's last blocks: a class token attends to the map; counts, and gives its input back."""

    def __init__(self, width: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * width, bias=False)
        self.project = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, ratio * width), nn.Linear(ratio * width, width))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The input."""
        tokens = x_BCHW.flatten(2).transpose(1, 2)
        tokens = self.norm(torch.cat((tokens[:, :1], tokens), 1))
        parts = (self.q(tokens[:, :1]), *self.kv(tokens).chunk(2, -1))
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        mixed = (q @ k.transpose(-2, -1)) @ v
        self.mlp(self.mlp_norm(self.project(mixed.transpose(1, 2).flatten(2))))
        return x_BCHW


Part = tuple[int, nn.Module]
"""How many of them follow each other."""


def once(*modules: nn.Module) -> Iterator[Part]:
    return ((1, module) for module in modules)


def counts(parts: Iterator[Part]) -> tuple[int, int]:
    """Parameters and multiply-adds for one image of 224 px."""
    params = macs = 0
    with torch.device("meta"), torch.no_grad():
        x = torch.zeros(1, 3, 224, 224)
        for number, module in parts:
            with FlopCounterMode(display=False) as counter:
                x = module.eval().to("meta")(x)
            params += number * sum(p.numel() for p in module.parameters())
            macs += number * counter.get_total_flops() // 2
    assert x.shape == (1, CLASSES)
    return params, macs


def of(operator: str, side: int, width: int, heads: int, **pick: int | str) -> Signature:
    """A block whose heads fill its width."""
    options = Options({"num_heads": heads, **pick})
    return signature(operator, options, Shape.square(side, side, width, width, 0, width // heads))


def block(operator: str, side: int, width: int, heads: int, **pick: int | str) -> nn.Module:
    return plain_module(of(operator, side, width, heads, **pick))


RMT_S = (
    (3, of("rmt", 56, 64, 4, expand_ratio=4, extent="axial")),
    (4, of("rmt", 28, 128, 4, expand_ratio=4, extent="axial")),
    (18, of("rmt", 14, 256, 8, expand_ratio=3, extent="axial")),
    (4, of("rmt", 7, 512, 16, expand_ratio=3, extent="full")),
)
"""Blocks of every stage."""


def rmt_s() -> Iterator[Part]:
    """With convolutions of positions before blocks, and others inside of the channel part."""
    for (in_width, width), stride in (((3, 32), 2), ((32, 32), 1), ((32, 64), 2), ((64, 64), 1)):
        yield from once(nn.Conv2d(in_width, width, 3, stride, 1), nn.BatchNorm2d(width))
    for depth, spec in RMT_S:
        in_width, width = width, spec.shape.width
        if in_width != width:
            yield from once(nn.Conv2d(in_width, width, 3, 2, 1), nn.BatchNorm2d(width))
        hidden = spec.pick.number("expand_ratio") * width
        for module in (Depthwise(width), plain_module(spec), Depthwise(hidden)):
            yield depth, module
    yield from once(nn.Conv2d(512, 1024, 1), nn.BatchNorm2d(1024), *head(1024))


def test_rmt_s() -> None:
    """27 million parameters in the paper, and 4.5 billion, which it is without attention products."""
    params, macs = counts(rmt_s())
    assert params == 26_967_240
    products = sum(depth * signature_cost(spec).attention for depth, spec in RMT_S)
    assert round(macs / 1e9, 2) == 4.78
    assert round((macs - products) / 1e9, 1) == 4.5


def volo_d1() -> Iterator[Part]:
    """Attention behind the first stage is ours without reduction."""
    yield from once(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64))
    yield from ((2, nn.Conv2d(64, 64, 3, 1, 1, bias=False)), (2, nn.BatchNorm2d(64)))
    yield 1, nn.Conv2d(64, 192, 4, 4)
    yield 4, block("outlook", 28, 192, 6, expand_ratio=3, sr_ratio=2)
    yield from once(nn.Conv2d(192, 384, 2, 2), Embedding(14 * 14, 384))
    yield 4 + 8 + 2, block("sra", 14, 384, 12, expand_ratio=3, sr_ratio=1)
    yield 2, ClassAttention(384, 12, 3)
    yield from once(Embedding(1, 384), Norm(384), *head(384))


def test_volo_d1() -> None:
    """26.6 million parameters with the classifier of positions, which is for training."""
    params, macs = counts(volo_d1())
    biases = 4 * 192 + 14 * 3 * 384  # of values, queries and keys, which VOLO's lack
    positions = 385 * CLASSES
    assert params - biases + positions == 26_632_040
    assert round(macs / 1e9, 1) == 6.8


def cvt_13() -> Iterator[Part]:
    """Without the class token's place in attention."""
    yield from once(nn.Conv2d(3, 64, 7, 4, 2), Norm(64))
    yield 1, block("cvt", 56, 64, 1, expand_ratio=4, sr_ratio=2)
    yield from once(nn.Conv2d(64, 192, 3, 2, 1), Norm(192))
    yield 2, block("cvt", 28, 192, 3, expand_ratio=4, sr_ratio=2)
    yield from once(nn.Conv2d(192, 384, 3, 2, 1), Norm(384))
    yield 10, block("cvt", 14, 384, 6, expand_ratio=4, sr_ratio=2)
    yield from once(Embedding(1, 384), Norm(384), *head(384))


def test_cvt_13() -> None:
    params, macs = counts(cvt_13())
    assert params == 19_997_480
    assert round(macs / 1e9, 1) == 4.5


def convit_s() -> Iterator[Part]:
    """Two blocks of attention by content alone behind ten that begin as convolutions."""
    yield from once(nn.Conv2d(3, 432, 16, 16), Embedding(14 * 14 + 1, 432))
    yield 10, block("convit", 14, 432, 9, expand_ratio=4)
    yield 2, block("sra", 14, 432, 9, expand_ratio=4, sr_ratio=1)
    yield from once(Norm(432), *head(432))


def test_convit_s() -> None:
    """27 million in the paper."""
    params, _ = counts(convit_s())
    biases = 12 * 3 * 432  # of queries, keys and values, which ConViT's lack
    of_positions = 10 * 9  # a bias per head, which softmax over positions ignores
    assert params - biases + of_positions == 27_777_322
