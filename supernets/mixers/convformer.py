"""ConvFormer's large kernel feature mixer.

Source: Wu et al., Transforming Image Super-Resolution: A ConvFormer-based Efficient Approach
(2024); declaration and departures in search_spaces/operators/convformer.py.
"""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import KERNEL, AbstractUnpruned, Axes, Index
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class PlainConvFormer(nn.Module):
    """Norm; a convolved projection times another one; projection."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width, kernel_size = signature.shape.width, signature.pick.number("kernel_size")
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.seen = nn.Linear(width, width)
        self.conv = nn.Conv2d(width, width, kernel_size, 1, kernel_size // 2, groups=width)
        self.values = nn.Linear(width, width)
        self.project = nn.Linear(width, width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        x_BHWC = self.norm(x_BHWC)
        seen_BHWC = self.conv(self.seen(x_BHWC).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.project(seen_BHWC * self.values(x_BHWC))


@final
@MIXERS.register
class ElasticConvFormer(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width and kernel."""

    has_shortcut: ClassVar[bool] = True
    plain: ClassVar[type[nn.Module]] = PlainConvFormer
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **linear_axes("seen", "width", "width"),
        "conv.weight": ("width", None, KERNEL, KERNEL),
        "conv.bias": ("width",),
        **linear_axes("values", "width", "width"),
        **linear_axes("project", "width", "width"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels, the centre of the kernel."""
        return {"width": signature.shape.width, KERNEL: signature.pick.number("kernel_size")}
