"""Fused inverted residual before a strided convolution; source and departures in
search_spaces/trunk/downsample_fused.py."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Options, Signature
from search_spaces.channel_attentions.se import squeezed_channels
from supernets._elastic import AbstractUnpruned, Axes, Index
from supernets._modules import Add, ConvNorm, conv_norm_axes
from supernets.blocks._base import AbstractElasticBlock
from supernets.channel_attentions._base import attention_roles
from supernets.channel_attentions.se import SELayer
from supernets.trunk._base import TRUNK_BLOCKS


class PlainDownsampleFused(nn.Module):
    """Depthwise convolution, gates, pointwise convolution, shortcut; then the strided one."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape = signature.shape
        width = shape.in_width
        self.depthwise = ConvNorm(width, width, 3, groups=width)
        self.attention = SELayer(width, squeezed_channels(width), shape.in_size)
        self.project = ConvNorm(width, width, 1, has_act=False)
        self.add = Add()
        self.reduce = ConvNorm(width, shape.width, 3, stride=2, has_act=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H / 2, W / 2), rounded up."""
        mixed = self.project(self.attention(self.depthwise(x_BCHW)))
        return self.reduce(self.add(x_BCHW, mixed))


@final
@TRUNK_BLOCKS.register
class ElasticDownsampleFused(AbstractUnpruned, AbstractElasticBlock):
    """Elastic widths, and the channels inside of the gates with them."""

    plain: ClassVar[type[nn.Module]] = PlainDownsampleFused
    axes: ClassVar[Axes] = {
        **conv_norm_axes("depthwise", "in_width", None),
        **conv_norm_axes("project", "in_width", "in_width"),
        **conv_norm_axes("reduce", "width", "in_width"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The two widths, and the gates' roles."""
        in_width = signature.shape.in_width
        gates = attention_roles(("se",), in_width, Options({"se": squeezed_channels(in_width)}))
        return {"in_width": in_width, "width": signature.shape.width, **gates}
