"""LSNet's LS convolution.

Source: Wang et al., LSNet (2025); declaration and departures in
search_spaces/operators/lsconv.py.
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.lsconv import GROUP_SIZE, SMALL, num_kernels, seen_channels
from supernets._elastic import KERNEL, AbstractUnpruned, Axes, Index
from supernets._heads import stacked
from supernets._modules import ConvNorm, conv_norm_axes
from supernets._neighbours import NeighbourSum
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class PlainLSConv(nn.Module):
    """A large kernel predicts small ones, by which neighbours are added up."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, kernel_size = signature.shape, signature.pick.number("kernel_size")
        half, self.kernels = seen_channels(shape.width), num_kernels(shape.width)
        self.reduce = ConvNorm(shape.width, half, 1)
        self.see = ConvNorm(half, half, kernel_size, groups=half)
        self.predict = nn.Conv2d(half, SMALL**2 * self.kernels, 1)
        self.sum = NeighbourSum(shape.width, shape.size, SMALL, GROUP_SIZE)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in."""
        x_BCHW = x_BHWC.permute(0, 3, 1, 2)
        kernels_BTHW = self.predict(self.see(self.reduce(x_BCHW)))
        return self.sum(x_BCHW, kernels_BTHW).permute(0, 2, 3, 1)


@final
@MIXERS.register
class ElasticLSConv(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width and large kernel; a narrower member has the kernels of the first groups."""

    has_shortcut: ClassVar[bool] = False
    plain: ClassVar[type[nn.Module]] = PlainLSConv
    axes: ClassVar[Axes] = {
        **conv_norm_axes("reduce", "half", "width"),
        **conv_norm_axes("see", "half", None, KERNEL),
        "predict.weight": ("taps", "half", None, None),
        "predict.bias": ("taps",),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels and groups, the centre of the large kernel."""
        assert isinstance(self.full, PlainLSConv)
        width, full = signature.shape.width, self.full
        groups = torch.arange(num_kernels(width), device=full.predict.weight.device)
        return {
            "width": width,
            "half": seen_channels(width),
            "taps": stacked(groups, SMALL**2, full.kernels),
            KERNEL: signature.pick.number("kernel_size"),
        }
