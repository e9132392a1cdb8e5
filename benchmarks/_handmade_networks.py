"""The networks of `handmade.py`: published families at several widths, as plain modules.

**mobilenetv2.** Sandler et al., MobileNetV2 (2018), table 2: rows of inverted residuals (expansion,
channels, blocks, first stride), a stem of 32 channels before them and a last convolution of 1,280
behind them, which as in the paper is not made narrower; all else is channels times width, rounded
to multiples of 8. The table's strides are for 224 pixels. Five layers may have a stride of 2, and
small images keep the last ones of them so that the last map is about 4 pixels:

    pixels          stem  row of 24  row of 32  row of 64  row of 160   last map of
    6 to 11            1          1          1          1           2   8 px: 4
    up to 22           1          1          1          2           2   16 px: 4
    up to 45           1          1          2          2           2   28 and 32 px: 4
    up to 64           2          1          2          2           2   48 px: 3, 64 px: 4
    more               2          2          2          2           2   96 px: 3, 224 px: 7

The third line is the usual variant for CIFAR, the fourth the same behind a stem of stride 2.
Departure: no dropout, which costs accuracy where training is short.

**resnet**, **resnet20.** He et al., Deep Residual Learning (2016), section 4.2: a stem of 16
channels and three stages of 16, 32 and 64 channels times width, with strides 1, 2, 2 and one
(ResNet-8, that of MLPerf Tiny) or three (ResNet-20) basic blocks each. From 64 pixels the stem has
a stride of 2, from 128 a max pool follows it. Departure: shortcuts that change the shape are
convolutions (that paper's option B), as in MLPerf Tiny, because padded channels quantize badly.

**simplenet.** Hasanpour et al., Lets keep it simple, Using simple architectures to outperform
deeper and more complex architectures (2016): 13 convolutions in a row without shortcuts, 3x3 but
for two of 1x1, of 64 to 2,048 channels times width, each with batch norm, and five max pools behind
the 4th, 7th, 9th, 10th and 12th; 5.48 M weights at a width of 1. From 64 pixels the stem has a
stride of 2, and pools round up. Departures: no dropout, as above; convolutions have no biases,
which batch norm makes needless.

Weights start as those of the project's own networks do. Shapes: B batch, C channels, H W space.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.flop_counter import FlopCounterMode

from search_spaces import UserError, did_you_mean
from supernets._modules import initialise

LAST_MAP = 4
ROWS = (
    (1, 16, 1),
    (6, 24, 2),
    (6, 32, 3),
    (6, 64, 4),
    (6, 96, 3),
    (6, 160, 3),
    (6, 320, 1),
)
"""Expansion, channels, blocks."""

STRIDED = (24, 0, 32, 64, 160)
"""Channels of the rows with a stride, 0 for the stem, the first to lose it first."""

STEM, LAST = 32, 1280
STAGES = (16, 32, 64)

SIMPLE: tuple[tuple[int, int], ...] = (
    (64, 3),
    (128, 3),
    (128, 3),
    (128, 3),
    (128, 3),
    (128, 3),
    (256, 3),
    (256, 3),
    (256, 3),
    (512, 3),
    (2048, 1),
    (256, 1),
    (256, 3),
)
"""Channels and side of the kernel."""

POOLED = (4, 7, 9, 10, 12)
"""Numbers of the layers behind which the map is halved."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a network is for.

    Attributes:
        channels: Of the images.
        resolution: Side of the images, pixels.
        num_classes: Number of logits.
    """

    channels: int
    resolution: int
    num_classes: int


@dataclass(frozen=True)
class Design:
    """A network of a family.

    Attributes:
        family: A name out of `FAMILIES`.
        width: By which channels are multiplied.
    """

    family: str
    width: float

    @property
    def name(self) -> str:
        """Such as "resnet-0.5"."""
        return f"{self.family}-{self.width:g}"

    def network(self, shape: Shape, seed: int) -> nn.Module:
        """The network with fresh weights."""
        network = FAMILIES[self.family].build(self.width, shape)
        initialise(network, torch.Generator().manual_seed(seed))
        for block in network.modules():
            if isinstance(block, InvertedResidual) and not block.has_shortcut:
                nn.init.ones_(block.project[1].weight)  # without a shortcut it must not start at 0
        return network


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection without activation; a shortcut where it fits."""

    def __init__(self, in_width: int, width: int, *, expand_ratio: int, stride: int) -> None:
        super().__init__()
        hidden = in_width * expand_ratio
        self.has_shortcut = stride == 1 and in_width == width
        self.expand = conv_norm(in_width, hidden, 1, act=nn.ReLU6()) if hidden > in_width else None
        self.depthwise = conv_norm(hidden, hidden, 3, stride=stride, groups=hidden, act=nn.ReLU6())
        self.project = conv_norm(hidden, width, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H / stride, W / stride), rounded up."""
        hidden = x_BCHW if self.expand is None else self.expand(x_BCHW)
        y_BCHW: Tensor = self.project(self.depthwise(hidden))
        return x_BCHW + y_BCHW if self.has_shortcut else y_BCHW


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut, which is one where the shape changes."""

    def __init__(self, in_width: int, width: int, *, stride: int) -> None:
        super().__init__()
        changes = stride > 1 or in_width != width
        self.first = conv_norm(in_width, width, 3, stride=stride, act=nn.ReLU())
        self.project = conv_norm(width, width, 3)
        self.shortcut = conv_norm(in_width, width, 1, stride=stride) if changes else nn.Identity()
        self.act = nn.ReLU()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H / stride, W / stride), rounded up."""
        y_BCHW: Tensor = self.act(self.shortcut(x_BCHW) + self.project(self.first(x_BCHW)))
        return y_BCHW


def mobilenetv2(width: float, shape: Shape) -> nn.Module:
    """See the module."""
    strided = strides(shape.resolution)
    channels = in_eights(STEM * width)
    stem = conv_norm(shape.channels, channels, 3, stride=1 + (0 in strided), act=nn.ReLU6())
    layers: list[nn.Module] = [stem]
    for expand_ratio, wide, blocks in ROWS:
        for block in range(blocks):
            stride = 2 if wide in strided and block == 0 else 1
            out = in_eights(wide * width)
            layers.append(InvertedResidual(channels, out, expand_ratio=expand_ratio, stride=stride))
            channels = out
    last = in_eights(LAST * max(1.0, width))
    layers.append(conv_norm(channels, last, 1, act=nn.ReLU6()))
    return with_head(layers, last, shape.num_classes)


def resnet(width: float, shape: Shape, *, blocks: int) -> nn.Module:
    """See the module; so many blocks per stage."""
    widths = [max(1, round(stage * width)) for stage in STAGES]
    stride = 1 if shape.resolution < 64 else 2
    layers = [conv_norm(shape.channels, widths[0], 3, stride=stride, act=nn.ReLU())]
    if shape.resolution >= 128:
        layers.append(nn.MaxPool2d(3, 2, 1))
    channels = widths[0]
    for stage, wide in enumerate(widths):
        for block in range(blocks):
            stride = 2 if stage and block == 0 else 1
            layers.append(BasicBlock(channels, wide, stride=stride))
            channels = wide
    return with_head(layers, channels, shape.num_classes)


def simplenet(width: float, shape: Shape) -> nn.Module:
    """See the module."""
    layers: list[nn.Module] = []
    channels = shape.channels
    for number, (wide, kernel_size) in enumerate(SIMPLE, start=1):
        stride = 2 if number == 1 and shape.resolution >= 64 else 1
        out = max(1, round(wide * width))
        layers.append(conv_norm(channels, out, kernel_size, stride=stride, act=nn.ReLU()))
        if number in POOLED:
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        channels = out
    return with_head(layers, channels, shape.num_classes)


def strides(resolution: int) -> frozenset[int]:
    """Rows with a stride of 2, by their channels; 0 is the stem."""
    most = len(STRIDED)
    needed = most if resolution > 64 else round(math.log2(max(1.0, resolution / LAST_MAP)))
    return frozenset(STRIDED[most - min(most, needed) :])


def in_eights(channels: float) -> int:
    """The nearest multiple of 8 that is not below 90 % (as in the paper's own code)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


def conv_norm(
    in_width: int,
    width: int,
    kernel_size: int,
    *,
    stride: int = 1,
    groups: int = 1,
    act: nn.Module | None = None,
) -> nn.Sequential:
    """Convolution with "same" padding, batch norm, and an activation if one is given."""
    conv = nn.Conv2d(
        in_width, width, kernel_size, stride, kernel_size // 2, groups=groups, bias=False
    )
    return nn.Sequential(conv, nn.BatchNorm2d(width), *([act] if act else []))


def with_head(layers: Sequence[nn.Module], width: int, num_classes: int) -> nn.Module:
    """The layers, global average pool and classifier."""
    pool, classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(width, num_classes)
    return nn.Sequential(*layers, pool, nn.Flatten(), classifier)


@dataclass(frozen=True)
class Family:
    """How a family is built, and its usual widths."""

    build: Callable[[float, Shape], nn.Module]
    widths: tuple[float, ...]


RESNET_WIDTHS = (0.25, 0.5, 0.75, 1.0, 1.5)
FAMILIES: Mapping[str, Family] = {
    "mobilenetv2": Family(mobilenetv2, (0.25, 0.35, 0.5, 0.75, 1.0)),
    "resnet": Family(lambda width, shape: resnet(width, shape, blocks=1), RESNET_WIDTHS),
    "resnet20": Family(lambda width, shape: resnet(width, shape, blocks=3), RESNET_WIDTHS),
    "simplenet": Family(simplenet, (0.125, 0.25, 0.35, 0.5, 0.75)),
}


USUAL = ("mobilenetv2", "resnet")


def usual_families(data: str) -> tuple[str, ...]:
    """Those that are made where none are named: on CIFAR also the plain networks made for it."""
    return (*USUAL, "simplenet") if data == "cifar10" else USUAL


def designs(families: Sequence[str], widths: Sequence[float]) -> list[Design]:
    """The networks of these families, at their usual widths if none are given.

    Raises:
        UserError: If there is no such family, or a width is not above 0.
    """
    for family in families:
        if family not in FAMILIES:
            raise UserError(f"unknown family '{family}'. {did_you_mean(family, FAMILIES)}")
    if any(not width > 0.0 for width in widths):
        raise UserError(f"widths are {list(widths)}. Each must be above 0.")
    return [Design(f, width) for f in families for width in widths or FAMILIES[f].widths]


@torch.no_grad()
def folded(network: nn.Module) -> nn.Module:
    """A copy whose convolutions have biases and whose batch norms are gone; same outputs."""
    network = copy.deepcopy(network.eval())
    for layers in network.modules():
        if isinstance(layers, nn.Sequential) and isinstance(layers[1], nn.BatchNorm2d):
            layers[0] = fuse_conv_bn_eval(layers[0], layers[1])
            layers[1] = nn.Identity()
    return network


def macs(network: nn.Module, shape: Shape) -> int:
    """Multiply-adds of convolutions and matrix products for one image."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, shape.channels, shape.resolution, shape.resolution))
    return counter.get_total_flops() // 2


def parameters(network: nn.Module) -> int:
    """Weights that are trained."""
    return sum(parameter.numel() for parameter in network.parameters())
