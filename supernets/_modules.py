"""Small plain modules that operators are made of.

Shapes: B batch, C channels, H W space.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from search_spaces._sides import Sides
from search_spaces.norms._base import DEFAULT_NORM
from supernets._grouped import GroupedConv2d
from supernets._merged import NOTHING, WeightedConv2d
from supernets.norms._base import NORM_LAYERS, AbstractNormLayers

NORM_EPS = 1e-6
"""Of every layer norm, as in ConvNeXt and PVT. Departure from Swin and RaftMLP: they have 1e-5.

Batch norms have 1e-5, torch's default, where TensorFlow's code of MobileNetV2 and MOAT has 1e-3.
"""


MASKED = -1000.0
"""Added to logits of attention that must not count. Departure from Swin, which has -100: cosines
are multiplied by up to 100."""

LEAST_SQUARE = 1e-6
"""Added to the square of a length by which is divided: gradients are bounded where it is 0."""


def unit(x: Tensor) -> Tensor:
    """Vectors along the last axis, of length 1, in kernels that all runtimes have."""
    return x / (x.square().sum(-1, keepdim=True) + LEAST_SQUARE).sqrt()


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


class ConvNorm(nn.Module):
    """Convolution with "same" padding for odd kernels, and a norm with its activation.

    Without activation it is followed by batch norm, whatever the norm. A density other than 1 and
    differences are those of its kernel, see `WeightedConv2d`; depthwise and dilated convolutions
    have none. With a size of groups it is a `GroupedConv2d`.
    """

    def __init__(
        self,
        in_width: int,
        width: int,
        kernel_size: int,
        *,
        stride: int | Sides = 1,
        groups: int = 1,
        dilation: int = 1,
        has_act: bool = True,
        norm: str = DEFAULT_NORM,
        density: float = 1.0,
        differences: Mapping[str, int] = NOTHING,
        group_size: int = 0,
    ) -> None:
        super().__init__()
        if group_size:
            self.conv: nn.Conv2d = GroupedConv2d(width, kernel_size, group_size)
        elif density == 1.0 and not differences:
            reach = dilation * (kernel_size // 2)
            self.conv = nn.Conv2d(
                in_width, width, kernel_size, stride, reach, dilation, groups, bias=False
            )
        else:
            self.conv = WeightedConv2d(
                *(in_width, width, kernel_size, stride), density=density, differences=differences
            )
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


def normed_conv_axes(
    name: str, out_role: str | None, in_role: str | None
) -> dict[str, tuple[str | None, ...]]:
    """Roles of the axes of a `NormedConv2d` called `name`."""
    return {
        f"{name}.weight": (out_role, in_role, None, None),
        f"{name}.bias": (out_role,),
        f"{name}.in_norm": (in_role,),
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

GATES_END = "decide"
"""Name of the last layer of a channel attention before gates."""


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Fresh weights: He for convolutions, 1 / sqrt(inputs) for matrices, 0 where branches end.

    Channel attention starts with equal gates.

    Every operator starts as the identity, so that the trunk which all members share learns first;
    without it, operators that take turns in a slot disturb each other and nothing is learnt
    (Zhang et al., Fixup Initialization, 2019, starts residual branches at zero for depth's sake).
    """
    for name, child in module.named_modules():
        parts = name.split(".")
        makes_gates, ends_branch = parts[-1] == GATES_END, RESIDUAL_END in parts
        if isinstance(child, nn.Conv2d):
            # Behind a convolution with a norm it is the norm that is 0.
            fan = child.weight[0].numel()
            is_zero = makes_gates or parts[-1] == RESIDUAL_END
            std = 0.0 if is_zero else (2.0 / fan) ** 0.5
            nn.init.normal_(child.weight, std=std, generator=generator)
            if child.bias is not None:
                nn.init.zeros_(child.bias)
        elif isinstance(child, nn.Linear):
            std = 0.0 if ends_branch or makes_gates else child.in_features**-0.5
            nn.init.normal_(child.weight, std=std, generator=generator)
            if child.bias is not None:
                nn.init.zeros_(child.bias)
        elif isinstance(child, nn.Conv1d) or (
            isinstance(child, nn.BatchNorm2d | nn.LayerNorm) and ends_branch
        ):
            nn.init.zeros_(child.weight)
