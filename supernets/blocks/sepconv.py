"""Two separable convolutions; source and departures in search_spaces/operators/sepconv.py."""

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import KERNEL, Axes, Index
from supernets._modules import ConvNorm, conv_norm_axes
from supernets.blocks._base import BLOCKS, AbstractElasticBlock
from supernets.blocks.conv import widths_and_kernel
from supernets.criteria._base import GroupWeights


class SeparableConv(nn.Module):
    """Depthwise convolution without a norm, 1x1 convolution, batch norm, ReLU6."""

    def __init__(self, in_width: int, width: int, kernel_size: int, *, dilation: int = 1) -> None:
        super().__init__()
        reach = dilation * (kernel_size // 2)
        self.depthwise = nn.Conv2d(
            in_width, in_width, kernel_size, 1, reach, dilation, in_width, bias=False
        )
        self.pointwise = ConvNorm(in_width, width, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H, W)."""
        output: Tensor = self.pointwise(self.depthwise(x_BCHW))
        return output


def separable_axes(name: str, out_role: str, in_role: str) -> dict[str, tuple[str | None, ...]]:
    """Roles of the axes of a `SeparableConv` called `name`."""
    return {
        f"{name}.depthwise.weight": (in_role, None, KERNEL, KERNEL),
        **conv_norm_axes(f"{name}.pointwise", out_role, in_role),
    }


class PlainSepConv(nn.Module):
    """A separable convolution behind another one."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, side = signature.shape, signature.pick.number("kernel_size")
        hidden = signature.kept.number("hidden")
        self.first = SeparableConv(shape.in_width, hidden, side)
        self.second = SeparableConv(hidden, shape.width, side)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, *size)."""
        return self.second(self.first(x_BCHW))


@final
@BLOCKS.register
class ElasticSepConv(AbstractElasticBlock):
    """Elastic widths and kernel; channels between the two can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainSepConv
    prunable: ClassVar[tuple[str, ...]] = ("hidden",)
    axes: ClassVar[Axes] = {
        **separable_axes("first", "hidden", "in_width"),
        **separable_axes("second", "width", "hidden"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels, between the two less the pruned ones, and the centres of kernels."""
        hidden = self.kept("hidden", signature.shape.width, signature)
        return {**widths_and_kernel(signature), "hidden": hidden}

    def group_weights(self) -> dict[str, GroupWeights]:
        """What makes each channel and its own kernel, and what reads it."""
        first, second = (self.full.get_submodule(name) for name in ("first", "second"))
        made_by = [first.get_parameter("pointwise.conv.weight")]
        made_by.append(second.get_parameter("depthwise.weight"))
        read_by = second.get_parameter("pointwise.conv.weight").transpose(0, 1)
        return {
            "hidden": GroupWeights(
                torch.cat([weight.flatten(1) for weight in made_by], 1),
                read_by,
                first.get_parameter("pointwise.norm.weight"),
                len(read_by),
            )
        }
