"""Patchify stem; source and departures in search_spaces/trunk/patch.py."""

from typing import ClassVar, final

from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import Signature
from supernets._elastic import Axes
from supernets._modules import ConvNorm, conv_norm_axes
from supernets.trunk._base import TRUNK_BLOCKS, AbstractTrunkBlock


class PlainPatch(nn.Module):
    """One convolution with batch norm."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        stride = signature.pick.number("stride")
        shape = signature.shape
        height, width = (
            side * stride - in_side for side, in_side in zip(shape.size, shape.in_size, strict=True)
        )
        self.missing = (0, width, 0, height)
        self.layer = ConvNorm(shape.in_width, shape.width, stride, stride=stride, has_act=False)
        self.layer.conv.padding = (0, 0)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H / stride, W / stride), rounded up."""
        if any(self.missing):
            x_BCHW = F.pad(x_BCHW, self.missing)
        return self.layer(x_BCHW)


@final
@TRUNK_BLOCKS.register
class ElasticPatch(AbstractTrunkBlock):
    """Elastic output width; the images' channels are fixed."""

    plain: ClassVar[type[nn.Module]] = PlainPatch
    is_sized: ClassVar[bool] = True
    axes: ClassVar[Axes] = conv_norm_axes("layer", "width", None)
