"""Inverted residual with a linear bottleneck, with or without channel attention.

Source: Sandler et al., MobileNetV2 (2018), section 3.3; declaration and departures in
search_spaces/operators/mbconv.py.
"""

from collections.abc import Mapping
from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.norms._base import norm_name
from search_spaces.operators.mbconv import has_shortcut
from supernets._elastic import KERNEL, Axes, Index
from supernets._modules import Add, ConvNorm, conv_norm_axes
from supernets.blocks._base import BLOCKS, AbstractElasticBlock
from supernets.channel_attentions._base import add_attentions, attention_roles
from supernets.criteria._base import GroupWeights
from supernets.norms._statistics import is_batch_norm


class PlainMBConv(nn.Module):
    """Expansion, depthwise convolution, projection without activation, shortcut."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, pick = signature.shape, signature.pick
        hidden = signature.kept.number("hidden")
        is_expanded, norm = pick.number("expand_ratio") > 1, norm_name(pick)
        self.expand = (
            ConvNorm(shape.in_width, hidden, 1, norm=norm) if is_expanded else nn.Identity()
        )
        self.depthwise = ConvNorm(
            hidden,
            hidden,
            pick.number("kernel_size"),
            stride=shape.stride,
            groups=hidden,
            norm=norm,
        )
        self.attentions = add_attentions(self, hidden, signature)
        self.project = ConvNorm(hidden, shape.width, 1, has_act=False)
        self.add = Add() if has_shortcut(shape) else None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, *size)."""
        hidden = self.depthwise(self.expand(x_BCHW))
        for place in self.attentions.values():
            hidden = self.get_submodule(place)(hidden)
        y_BCHW: Tensor = self.project(hidden)
        return y_BCHW if self.add is None else self.add(x_BCHW, y_BCHW)


@final
@BLOCKS.register
class ElasticMBConv(AbstractElasticBlock):
    """Elastic width, kernel and expansion; expanded channels can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainMBConv
    prunable: ClassVar[tuple[str, ...]] = ("hidden",)
    axes: ClassVar[Axes] = {
        **conv_norm_axes("expand", "expanded", "in_width"),
        **conv_norm_axes("depthwise", "hidden", None, KERNEL),
        **conv_norm_axes("project", "width", "hidden"),
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = {
        "depthwise.norm.beta": (0, 1),
        "depthwise.norm.slope": (0, 1),
    }
    """Of EvoNorms: the projection's batch norm takes off what is added to whole channels; the slope
    of B0 does not decide about a channel that is below 0 everywhere."""

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Hidden channels are the first in_width * expansion, less the pruned ones."""
        assert isinstance(self.full, PlainMBConv)
        largest = signature.shape.in_width * signature.pick.number("expand_ratio")
        return conv_sizes(self.kept("hidden", largest, signature), signature, self.full)

    def group_weights(self) -> dict[str, GroupWeights]:
        """Each hidden channel's kernel, and what reads it in the projection."""
        return {"hidden": hidden_weights(self.full, "depthwise")}


def conv_sizes(hidden: Index, signature: Signature, full: PlainMBConv) -> dict[str, Index]:
    """Roles of an inverted residual whose hidden channels are these.

    Args:
        hidden: Of the member.
        signature: The member's.
        full: With the shared weights.
    """
    shape, pick = signature.shape, signature.pick
    return {
        "in_width": shape.in_width,
        "width": shape.width,
        "hidden": hidden,
        "expanded": hidden if pick.number("expand_ratio") > 1 else 0,
        KERNEL: pick.number("kernel_size"),
        **attention_roles(full.attentions, hidden, pick),
    }


def hidden_weights(block: nn.Module, maker: str) -> GroupWeights:
    """What the hidden channels of a plain block are ranked by.

    Args:
        block: Its `project` reads them.
        maker: Name of the `ConvNorm` that makes them.
    """
    made_by = block.get_parameter(f"{maker}.conv.weight")
    read_by = block.get_parameter("project.conv.weight").transpose(0, 1)
    norm = block.get_submodule(f"{maker}.norm")
    scale = norm.weight if is_batch_norm(norm) else None
    return GroupWeights(made_by, read_by, scale, len(made_by))
