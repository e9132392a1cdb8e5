"""TCNCA: dilated convolutions, then attention in chunks.

Source: Terzić et al., TCNCA (2023); declaration and departures in
search_spaces/operators/tcnca.py.
"""

from collections.abc import Mapping
from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.tcnca import KERNEL_SIZE, dilations
from supernets._elastic import Axes, Index, inside
from supernets._modules import Add, ConvNorm, conv_norm_axes
from supernets.mixers._attention import AbstractElasticAttention
from supernets.mixers._base import MIXERS
from supernets.mixers.window import ElasticWindow, PlainWindow

MOST_LEVELS = 14
"""Dilations that the largest map could have."""


class DilatedLayer(nn.Module):
    """x + convolution(x), with norm and activation."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.conv = ConvNorm(width, width, KERNEL_SIZE, groups=width, dilation=dilation)
        self.add = Add()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        output: Tensor = self.add(x_BCHW, self.conv(x_BCHW))
        return output


class PlainTCNCA(nn.Module):
    """Dilated layers, then window attention with its norm."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape = signature.shape
        self.dilated = nn.Sequential(*(DilatedLayer(shape.width, d) for d in dilations(shape.size)))
        self.attention = PlainWindow(signature)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        seen_BCHW = self.dilated(x_BHWC.permute(0, 3, 1, 2))
        output: Tensor = self.attention(seen_BCHW.permute(0, 2, 3, 1))
        return output


@final
@MIXERS.register
class ElasticTCNCA(AbstractElasticAttention):
    """Elastic width and heads; whole heads can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainTCNCA
    heads_at: ClassVar[str] = "attention"
    is_sized: ClassVar[bool] = True
    axes: ClassVar[Axes] = {
        **inside("attention", ElasticWindow.axes),
        **{
            name: roles
            for level in range(MOST_LEVELS)
            for name, roles in conv_norm_axes(f"dilated.{level}.conv", "width", None).items()
        },
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = inside(
        "attention", ElasticWindow.without_gradient
    )

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels; what follows from the heads as in `window`."""
        return self.head_sizes(signature)
