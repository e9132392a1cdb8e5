"""Depthwise convolution with learnable spacings.

Source: Khalfaoui-Hassani et al., Dilated Convolution with Learnable Spacings (2023); declaration
and departures in search_spaces/operators/dcls.py.
"""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import AbstractUnpruned, Axes, Index
from supernets._merged import SpacedDepthwise
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class PlainDCLS(nn.Module):
    """Spaced depthwise convolution on a channels-last map."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width, pick = signature.shape.width, signature.pick
        self.conv = SpacedDepthwise(width, pick.number("kernel_size"), pick.number("num_elements"))

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in."""
        return self.conv(x_BHWC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


@final
@MIXERS.register
class ElasticDCLS(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width and number of elements; kernels of all sizes share them, spread further."""

    has_shortcut: ClassVar[bool] = False
    plain: ClassVar[type[nn.Module]] = PlainDCLS
    axes: ClassVar[Axes] = {
        "conv.weight": ("width", "elements"),
        "conv.places": ("width", None, "elements"),
        "conv.bias": ("width",),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels and elements."""
        num_elements = signature.pick.number("num_elements")
        return {"width": signature.shape.width, "elements": num_elements}
