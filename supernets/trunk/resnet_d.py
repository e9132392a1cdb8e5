"""Deep stem; sources and departure in search_spaces/trunk/resnet_d.py."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.trunk.resnet_d import FIRST_STRIDE, inner_channels
from supernets._elastic import AbstractUnpruned, Axes, Index
from supernets._modules import ConvNorm, conv_norm_axes
from supernets.blocks._base import AbstractElasticBlock
from supernets.trunk._base import TRUNK_BLOCKS


class PlainResNetD(nn.Module):
    """Three convolutions, and one more of stride 2 if the stem divides the map by 4."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, stride = signature.shape, signature.pick.number("stride")
        inner = inner_channels(shape)
        self.first = ConvNorm(shape.in_width, inner, 3, stride=min(stride, FIRST_STRIDE))
        self.second = ConvNorm(inner, inner, 3)
        self.third = ConvNorm(inner, shape.width, 3)
        left = stride // FIRST_STRIDE
        self.reduce = (
            ConvNorm(shape.width, shape.width, 3, stride=left) if left > 1 else nn.Identity()
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H / stride, W / stride), rounded up."""
        return self.reduce(self.third(self.second(self.first(x_BCHW))))


@final
@TRUNK_BLOCKS.register
class ElasticResNetD(AbstractUnpruned, AbstractElasticBlock):
    """Elastic output width and stride; the images' channels are fixed."""

    plain: ClassVar[type[nn.Module]] = PlainResNetD
    axes: ClassVar[Axes] = {
        **conv_norm_axes("first", "inner", None),
        **conv_norm_axes("second", "inner", "inner"),
        **conv_norm_axes("third", "width", "inner"),
        **conv_norm_axes("reduce", "reduced", "reduced"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Two widths; what reduces the map is a part of members of stride 4 alone."""
        width = signature.shape.width
        is_reduced = signature.pick.number("stride") > FIRST_STRIDE
        return {
            "inner": inner_channels(signature.shape),
            "width": width,
            "reduced": width if is_reduced else 0,
        }
