"""Inverted residual with a linear bottleneck.

Source: Sandler et al., MobileNetV2 (2018), section 3.3; declaration and departures in
search_spaces/operators/mbconv.py.
"""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import KERNEL, Axes, Index
from supernets._modules import Add, ConvNorm, conv_norm_axes, l1
from supernets.blocks._base import BLOCKS, AbstractBlock


class PlainMBConv(nn.Module):
    """Expansion, depthwise convolution, projection without activation, shortcut."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width, hidden = signature.shape.width, signature.kept.number("hidden")
        kernel_size = signature.pick.number("kernel_size")
        self.expand = ConvNorm(width, hidden, 1)
        self.depthwise = ConvNorm(hidden, hidden, kernel_size, groups=hidden)
        self.project = ConvNorm(hidden, width, 1, has_act=False)
        self.add = Add()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        return self.add(x_BCHW, self.project(self.depthwise(self.expand(x_BCHW))))


@final
@BLOCKS.register
class MBConv(AbstractBlock):
    """Elastic width, kernel and expansion; expanded channels can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainMBConv
    prunable: ClassVar[tuple[str, ...]] = ("hidden",)
    axes: ClassVar[Axes] = {
        **conv_norm_axes("expand", "hidden", "width"),
        **conv_norm_axes("depthwise", "hidden", None, KERNEL),
        **conv_norm_axes("project", "width", "hidden"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Hidden channels are the first width * expansion, less the pruned ones."""
        width = signature.shape.width
        hidden = width * signature.pick.number("expand_ratio")
        return {
            "width": width,
            "hidden": self.kept("hidden", hidden, signature),
            KERNEL: signature.pick.number("kernel_size"),
        }

    def importance(self) -> dict[str, Tensor]:
        """What each hidden channel contributes to the projection, scaled by its batch norm."""
        scale = self.full.get_parameter("depthwise.norm.weight").detach().abs()
        return {"hidden": scale * l1(self.full.get_parameter("project.conv.weight"), 1)}
