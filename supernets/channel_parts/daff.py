"""DHVT's channel part; source and departures in search_spaces/channel_parts/daff.py."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.channel_parts.daff import KERNEL_SIZE, squeezed_channels
from supernets._elastic import Axes, Index
from supernets._modules import NORM_EPS, ConvNorm, conv_norm_axes, norm_axes
from supernets.channel_attentions._gates import SqueezedGates, squeezed_axes
from supernets.channel_parts._base import ELASTIC_CHANNEL_PARTS, AbstractElasticChannelPart
from supernets.criteria._base import GroupWeights


class PlainDAFF(nn.Module):
    """Layer norm, three convolutions with a shortcut around the second, a gate per channel."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width, hidden = signature.shape.width, signature.kept.number("hidden")
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.expand = ConvNorm(width, hidden, 1, has_act=False)
        self.depthwise = ConvNorm(hidden, hidden, KERNEL_SIZE, groups=hidden, has_act=False)
        self.act = nn.GELU()
        self.project = ConvNorm(hidden, width, 1, has_act=False)
        self.gates = SqueezedGates(width, squeezed_channels(width), nn.GELU)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        x_BCHW = self.act(self.expand(self.norm(x_BHWC).permute(0, 3, 1, 2)))
        x_BCHW = x_BCHW + self.act(self.depthwise(x_BCHW))
        y_BCHW = self.project(x_BCHW)
        return (y_BCHW * self.gates(y_BCHW)).permute(0, 2, 3, 1)


@final
@ELASTIC_CHANNEL_PARTS.register
class ElasticDAFF(AbstractElasticChannelPart):
    """Elastic width and expansion; hidden channels can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainDAFF
    prunable: ClassVar[tuple[str, ...]] = ("hidden",)
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **conv_norm_axes("expand", "hidden", "width"),
        **conv_norm_axes("depthwise", "hidden", None),
        **conv_norm_axes("project", "width", "hidden"),
        **squeezed_axes("gates", "width", "squeezed"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Hidden channels are the first width * expansion, less the pruned ones."""
        width = signature.shape.width
        hidden = width * signature.pick.number("expand_ratio")
        return {
            "width": width,
            "hidden": self.kept("hidden", hidden, signature),
            "squeezed": squeezed_channels(width),
        }

    def group_weights(self) -> dict[str, GroupWeights]:
        """Each hidden channel's row of the first matrix and column of the last."""
        expand = self.full.get_parameter("expand.conv.weight")
        project = self.full.get_parameter("project.conv.weight")
        scale = self.full.get_parameter("expand.norm.weight")
        return {"hidden": GroupWeights(expand, project.transpose(0, 1), scale, len(expand))}
