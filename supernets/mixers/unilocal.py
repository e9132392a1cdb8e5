"""UniFormer's local block without its MLP.

Source: Li et al., UniFormer (2022); declaration and departures in
search_spaces/operators/unilocal.py.
"""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.unilocal import POSITION
from supernets._elastic import KERNEL, AbstractUnpruned, Axes, Index
from supernets._merged import NormedConv2d
from supernets._modules import ConvNorm, conv_norm_axes, linear_axes, normed_conv_axes
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class PositionConv(nn.Module):
    """What a depthwise convolution adds to a map, to tell positions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = ConvNorm(width, width, POSITION, groups=width, has_act=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        return self.project(x_BHWC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class LocalAggregator(nn.Module):
    """Norm, 1x1, depthwise kernel, 1x1: neighbours are added up by weights of their places."""

    def __init__(self, width: int, kernel_size: int) -> None:
        super().__init__()
        self.values = NormedConv2d(width, width)
        self.sum = nn.Conv2d(width, width, kernel_size, 1, kernel_size // 2, groups=width)
        self.project = nn.Linear(width, width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        x_BCHW = self.sum(self.values(x_BHWC.permute(0, 3, 1, 2)))
        return self.project(x_BCHW.permute(0, 2, 3, 1))


class PlainUniLocal(nn.Module):
    """Positions, then a local aggregator, each with a shortcut."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width = signature.shape.width
        self.position = PositionConv(width)
        self.aggregator = LocalAggregator(width, signature.pick.number("kernel_size"))

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without the shortcut around all of it."""
        position_BHWC = self.position(x_BHWC)
        mixed: Tensor = position_BHWC + self.aggregator(x_BHWC + position_BHWC)
        return mixed


@final
@MIXERS.register
class ElasticUniLocal(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width and kernel."""

    has_shortcut: ClassVar[bool] = True
    plain: ClassVar[type[nn.Module]] = PlainUniLocal
    axes: ClassVar[Axes] = {
        **conv_norm_axes("position.project", "width", None),
        **normed_conv_axes("aggregator.values", "width", "width"),
        "aggregator.sum.weight": ("width", None, KERNEL, KERNEL),
        "aggregator.sum.bias": ("width",),
        **linear_axes("aggregator.project", "width", "width"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels, the centre of the kernel."""
        return {
            "width": signature.shape.width,
            KERNEL: signature.pick.number("kernel_size"),
        }
