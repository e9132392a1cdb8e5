"""A channel part: an MLP whose activation is the square of ReLU.

Source: So et al., Primer: Searching for Efficient Transformers for Language Modeling (2021).
"""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Cost, Group, Options, Shape, Signature
from search_spaces.channel_parts import CHANNEL_PARTS, AbstractChannelPart, layers
from supernets import channel_parts


@final
@CHANNEL_PARTS.register
class SquaredReLU(AbstractChannelPart):
    """Layer norm, linear, ReLU, square, linear."""

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        return {"hidden": Group(pick.number("expand_ratio") * shape.width, 8)}

    def cost(self, signature: Signature) -> Cost:
        n, width, hidden = signature.shape.pixels, signature.shape.width, signature.kept["hidden"]
        inner = layers.linear(n, width, hidden) + layers.pointwise(n, hidden, calls=2, quantizers=2)
        return layers.layer_norm(n, width) + inner + layers.linear(n, hidden, width)


class PlainSquaredReLU(nn.Module):
    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width, hidden = signature.shape.width, signature.kept["hidden"]
        self.norm, self.act = nn.LayerNorm(width), nn.ReLU()
        self.expand, self.project = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        return self.project(self.act(self.expand(self.norm(x_BHWC))).square())


@final
@channel_parts.ELASTIC_CHANNEL_PARTS.register
class ElasticSquaredReLU(channel_parts.AbstractElasticChannelPart):
    plain: ClassVar = PlainSquaredReLU
    prunable: ClassVar = ("hidden",)
    axes: ClassVar = {
        **channel_parts.norm_axes("norm", "width"),
        **channel_parts.linear_axes("expand", "hidden", "width"),
        **channel_parts.linear_axes("project", "width", "hidden"),
    }

    def sizes(self, signature: Signature) -> dict[str, channel_parts.Index]:
        width = signature.shape.width
        hidden = width * signature.pick.number("expand_ratio")
        return {"width": width, "hidden": self.kept("hidden", hidden, signature)}

    def group_weights(self) -> dict:
        made_by, read_by = self.full.expand.weight, self.full.project.weight.transpose(0, 1)
        return {"hidden": channel_parts.GroupWeights(made_by, read_by, None, len(made_by))}
