"""Convolutional GLU; source and departures in search_spaces/channel_parts/convglu.py."""

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.channel_parts.convglu import KERNEL_SIZE, gated_channels
from supernets._elastic import Axes, Index
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets.channel_parts._base import ELASTIC_CHANNEL_PARTS, AbstractElasticChannelPart
from supernets.criteria._base import GroupWeights


class PlainConvGLU(nn.Module):
    """Layer norm, a gate (linear, depthwise convolution, GELU) times a linear layer, linear."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width, hidden = signature.shape.width, signature.kept.number("hidden")
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.gate = nn.Linear(width, hidden)
        self.conv = nn.Conv2d(hidden, hidden, KERNEL_SIZE, 1, KERNEL_SIZE // 2, groups=hidden)
        self.act = nn.GELU()
        self.expand = nn.Linear(width, hidden)
        self.project = nn.Linear(hidden, width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        x_BHWC = self.norm(x_BHWC)
        gate_BCHW = self.act(self.conv(self.gate(x_BHWC).permute(0, 3, 1, 2)))
        return self.project(gate_BCHW.permute(0, 2, 3, 1) * self.expand(x_BHWC))


@final
@ELASTIC_CHANNEL_PARTS.register
class ElasticConvGLU(AbstractElasticChannelPart):
    """Elastic width and expansion; hidden channels can be pruned, with their gates."""

    plain: ClassVar[type[nn.Module]] = PlainConvGLU
    prunable: ClassVar[tuple[str, ...]] = ("hidden",)
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **linear_axes("gate", "hidden", "width"),
        "conv.weight": ("hidden", None, None, None),
        "conv.bias": ("hidden",),
        **linear_axes("expand", "hidden", "width"),
        **linear_axes("project", "width", "hidden"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Hidden channels are the first ones of this expansion, less the pruned ones."""
        width = signature.shape.width
        hidden = gated_channels(signature.pick.number("expand_ratio"), width)
        return {"width": width, "hidden": self.kept("hidden", hidden, signature)}

    def group_weights(self) -> dict[str, GroupWeights]:
        """Each hidden channel's rows of the gate and of what is gated, and its column behind."""
        gate = self.full.get_parameter("gate.weight")
        expand = self.full.get_parameter("expand.weight")
        project = self.full.get_parameter("project.weight")
        made_by = torch.cat((gate, expand), dim=1)
        return {"hidden": GroupWeights(made_by, project.transpose(0, 1), None, len(gate))}
