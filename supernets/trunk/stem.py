"""The usual stem; declaration in search_spaces/trunk/stem.py."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.trunk.stem import stem_kernel_size
from supernets._elastic import KERNEL, AbstractUnpruned, Axes, Index
from supernets._modules import ConvNorm, conv_norm_axes
from supernets.blocks._base import AbstractElasticBlock
from supernets.trunk._base import TRUNK_BLOCKS


class PlainStem(nn.Module):
    """One convolution with batch norm and ReLU6."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        stride = signature.pick.number("stride")
        shape = signature.shape
        kernel_size = stem_kernel_size(stride)
        self.layer = ConvNorm(shape.in_width, shape.width, kernel_size, stride=stride)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H / stride, W / stride)."""
        return self.layer(x_BCHW)


@final
@TRUNK_BLOCKS.register
class ElasticStem(AbstractUnpruned, AbstractElasticBlock):
    """Elastic output width and kernel, which follows the stride; the images' channels are fixed."""

    plain: ClassVar[type[nn.Module]] = PlainStem
    axes: ClassVar[Axes] = conv_norm_axes("layer", "width", None, KERNEL)

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Width and kernel."""
        kernel_size = stem_kernel_size(signature.pick.number("stride"))
        return {"width": signature.shape.width, KERNEL: kernel_size}
