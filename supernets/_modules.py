"""Small plain modules that operators are made of.

Shapes: B batch, C channels, H W space.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from search_spaces._sides import Sides
from search_spaces.norms._base import DEFAULT_NORM
from supernets._merged import WeightedConv2d
from supernets.norms._base import NORM_LAYERS, AbstractNormLayers

NORM_EPS = 1e-6
"""Of every layer norm, as in ConvNeXt and PVT. Departure from Swin and RaftMLP: they have 1e-5.

Batch norms have 1e-5, torch's default, where TensorFlow's code of MobileNetV2 and MOAT has 1e-3.
"""


class Add(nn.Module):
    """Residual addition inside convolution blocks: a module, so that it can be quantized."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x + y."""
        return x + y


class Scale(nn.Module):
    """Multiplication of a map by gates: a module, so that it can be quantized."""

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        """x * gate."""
        return x * gate


class ChannelAttention(nn.Module):
    """Scales each channel by a gate that its neighbouring channels' means decide.

    Source: Wang et al., ECA-Net (2020), section 3.2. The convolution has no bias; its few weights
    stay in fp32 in every format.
    """

    def __init__(self, width: int, kernel_size: int) -> None:
        super().__init__()
        self.width = width
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.gate = nn.Sigmoid()
        self.scale = Scale()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        means = self.pool(x_BCHW).reshape(-1, 1, self.width)
        return self.scale(x_BCHW, self.gate(self.conv(means)).reshape(-1, self.width, 1, 1))


class ConvNorm(nn.Module):
    """Convolution with "same" padding for odd kernels, and a norm with its activation.

    Without activation it is followed by batch norm, whatever the norm. A density other than 1 is
    that of its kernel, see `WeightedConv2d`; depthwise convolutions have none.
    """

    def __init__(
        self,
        in_width: int,
        width: int,
        kernel_size: int,
        *,
        stride: int | Sides = 1,
        groups: int = 1,
        has_act: bool = True,
        norm: str = DEFAULT_NORM,
        density: float = 1.0,
    ) -> None:
        super().__init__()
        if density == 1.0:
            self.conv = nn.Conv2d(
                in_width, width, kernel_size, stride, kernel_size // 2, groups=groups, bias=False
            )
        else:
            self.conv = WeightedConv2d(in_width, width, kernel_size, stride, density=density)
        layers: AbstractNormLayers = NORM_LAYERS.get(norm)()
        self.norm = layers.norm(width) if has_act else nn.BatchNorm2d(width)
        self.act = layers.act() if has_act else nn.Identity()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Shape (B, width, H / stride, W / stride), rounded up."""
        return self.act(self.norm(self.conv(x_BCHW)))


def conv_norm_axes(
    name: str, out_role: str | None, in_role: str | None, kernel_role: str | None = None
) -> dict[str, tuple[str | None, ...]]:
    """Roles of the axes of a `ConvNorm` called `name`, whatever its norm."""
    return {
        f"{name}.conv.weight": (out_role, in_role, kernel_role, kernel_role),
        f"{name}.norm": (out_role,),
    }


def linear_axes(
    name: str, out_role: str | None, in_role: str | None
) -> dict[str, tuple[str | None, ...]]:
    """Roles of the axes of a `Linear` called `name`."""
    return {f"{name}.weight": (out_role, in_role), f"{name}.bias": (out_role,)}


def norm_axes(name: str, role: str) -> dict[str, tuple[str | None, ...]]:
    """Roles of the axes of a layer norm called `name`."""
    return {f"{name}.weight": (role,), f"{name}.bias": (role,)}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """In this context torch draws what it does on its own, such as a layer's first weights, from
    this seed; outside nothing changes."""
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        yield


RESIDUAL_END = "project"
"""Name that every operator gives to the last layer before a shortcut's addition."""


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Fresh weights: He for convolutions, 1 / sqrt(inputs) for matrices, 0 where branches end.

    Channel attention starts with equal gates.

    Every operator starts as the identity, so that the trunk which all members share learns first;
    without it, operators that take turns in a slot disturb each other and nothing is learnt
    (Zhang et al., Fixup Initialization, 2019, starts residual branches at zero for depth's sake).
    """
    for name, child in module.named_modules():
        ends_branch = RESIDUAL_END in name.split(".")
        if isinstance(child, nn.Conv2d):
            fan = child.weight[0].numel()
            nn.init.normal_(child.weight, std=(2.0 / fan) ** 0.5, generator=generator)
            if child.bias is not None:
                nn.init.zeros_(child.bias)
        elif isinstance(child, nn.Linear):
            std = 0.0 if ends_branch else child.in_features**-0.5
            nn.init.normal_(child.weight, std=std, generator=generator)
            if child.bias is not None:
                nn.init.zeros_(child.bias)
        elif isinstance(child, nn.Conv1d) or (
            isinstance(child, nn.BatchNorm2d | nn.LayerNorm) and ends_branch
        ):
            nn.init.zeros_(child.weight)
