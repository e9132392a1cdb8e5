"""The basic residual block.

Source: He et al., Deep Residual Learning for Image Recognition (2016), section 3.3; declaration and
departures in search_spaces/operators/basic.py.
"""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.norms._base import norm_name
from search_spaces.operators.basic import (
    DIFFERENCES,
    KERNEL_SIZE,
    density_of,
    differences_of,
)
from search_spaces.operators.mbconv import has_shortcut
from supernets._elastic import Axes, Index
from supernets._modules import Add, ConvNorm, conv_norm_axes
from supernets.blocks._base import BLOCKS, AbstractElasticBlock
from supernets.blocks.mbconv import hidden_weights
from supernets.channel_attentions._base import add_attentions, attention_roles
from supernets.criteria._base import GroupWeights


class PlainBasic(nn.Module):
    """Two convolutions, the second without activation, channel attention, and a shortcut."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, hidden = signature.shape, signature.kept.number("hidden")
        norm, density = norm_name(signature.pick), density_of(signature.pick)
        differences = differences_of(signature.pick)
        self.expand = ConvNorm(
            *(shape.in_width, hidden, KERNEL_SIZE),
            stride=shape.stride,
            norm=norm,
            density=density,
            differences=differences,
        )
        self.project = ConvNorm(
            *(hidden, shape.width, KERNEL_SIZE),
            has_act=False,
            density=density,
            differences=differences,
        )
        self.attentions = add_attentions(self, shape.width, signature)
        self.add = Add() if has_shortcut(shape) else None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, *size)."""
        y_BCHW: Tensor = self.project(self.expand(x_BCHW))
        for place in self.attentions.values():
            y_BCHW = self.get_submodule(place)(y_BCHW)
        return y_BCHW if self.add is None else self.add(x_BCHW, y_BCHW)


@final
@BLOCKS.register
class ElasticBasic(AbstractElasticBlock):
    """Elastic width; channels between the convolutions can be pruned.

    All densities and details share kernels.
    """

    plain: ClassVar[type[nn.Module]] = PlainBasic
    prunable: ClassVar[tuple[str, ...]] = ("hidden",)
    axes: ClassVar[Axes] = {
        **conv_norm_axes("expand", "hidden", "in_width"),
        **conv_norm_axes("project", "width", "hidden"),
        **{
            f"{conv}.conv.{name}": (outputs, inputs, f"kernel_{name}")
            for conv, outputs, inputs in (
                ("expand", "hidden", "in_width"),
                ("project", "width", "hidden"),
            )
            for name in DIFFERENCES
        },
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Hidden channels are the first `width`, less the pruned ones."""
        assert isinstance(self.full, PlainBasic)
        shape, there = signature.shape, differences_of(signature.pick)
        return {
            "in_width": shape.in_width,
            "width": shape.width,
            "hidden": self.kept("hidden", shape.width, signature),
            **attention_roles(self.full.attentions, shape.width, signature.pick),
            **{f"kernel_{name}": there.get(name, 0) for name in DIFFERENCES},
        }

    def group_weights(self) -> dict[str, GroupWeights]:
        """Each hidden channel's kernels in the first convolution and in the second."""
        return {"hidden": hidden_weights(self.full, "expand")}
