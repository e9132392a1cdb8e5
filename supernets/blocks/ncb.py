"""Next-ViT's convolution block.

Source: Li et al., Next-ViT (2022), section 3.2; declaration and departures in
search_spaces/operators/ncb.py.
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.ncb import KERNEL_SIZE, grouped_channels
from supernets._elastic import Axes, Index
from supernets._merged import NormedConv2d
from supernets._modules import Add, ConvNorm, conv_norm_axes, normed_conv_axes
from supernets.blocks._base import BLOCKS, AbstractElasticBlock
from supernets.criteria._base import GroupWeights


class GroupedMix(nn.Module):
    """3x3 convolution in groups of constant size, 1x1 convolution across groups, shortcut."""

    def __init__(self, width: int, group_size: int) -> None:
        super().__init__()
        grouped = grouped_channels(width, group_size)
        self.parts = [grouped, width - grouped]
        groups = grouped // group_size
        self.conv = ConvNorm(grouped, grouped, KERNEL_SIZE, groups=groups) if grouped else None
        self.project = ConvNorm(width, width, 1, has_act=False)
        self.add = Add()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        mixed = x_BCHW
        if self.conv is not None and not self.parts[1]:
            mixed = self.conv(x_BCHW)
        elif self.conv is not None:
            grouped, others = x_BCHW.split(self.parts, dim=1)
            mixed = torch.cat((self.conv(grouped), others), dim=1)
        return self.add(x_BCHW, self.project(mixed))


class ConvMLP(nn.Module):
    """Batch norm, 1x1, ReLU6, 1x1, shortcut."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.expand = NormedConv2d(width, hidden)
        self.act = nn.ReLU6()
        self.project = ConvNorm(hidden, width, 1, has_act=False)
        self.add = Add()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        return self.add(x_BCHW, self.project(self.act(self.expand(x_BCHW))))


MIX_AXES: Axes = {
    **conv_norm_axes("mix.conv", "grouped", None),
    **conv_norm_axes("mix.project", "convolved", "convolved"),
}
MLP_AXES: Axes = {
    **normed_conv_axes("mlp.expand", "hidden", "width"),
    **conv_norm_axes("mlp.project", "width", "hidden"),
}


class PlainNCB(nn.Module):
    """Grouped convolution, then an MLP."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape = signature.shape
        self.mix = GroupedMix(shape.width, shape.head_dim)
        self.mlp = ConvMLP(shape.width, signature.kept.number("hidden"))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        output: Tensor = self.mlp(self.mix(x_BCHW))
        return output


@final
@BLOCKS.register
class ElasticNCB(AbstractElasticBlock):
    """Elastic width and expansion; hidden channels can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainNCB
    prunable: ClassVar[tuple[str, ...]] = ("hidden",)
    axes: ClassVar[Axes] = {**MIX_AXES, **MLP_AXES}

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first groups; hidden channels are the first ones, less the pruned ones."""
        width = signature.shape.width
        hidden = width * signature.pick.number("expand_ratio")
        return {
            "width": width,
            "convolved": width,
            "grouped": grouped_channels(width, signature.shape.head_dim),
            "hidden": self.kept("hidden", hidden, signature),
        }

    def group_weights(self) -> dict[str, GroupWeights]:
        """Each hidden channel's row of the first convolution and column of the second."""
        assert isinstance(self.full, PlainNCB)
        return {"hidden": mlp_weights(self.full.mlp)}


def mlp_weights(mlp: ConvMLP) -> GroupWeights:
    """What hidden channels are ranked by."""
    expand, project = mlp.expand.weight, mlp.project.conv.weight
    return GroupWeights(expand, project.transpose(0, 1), None, len(expand))
