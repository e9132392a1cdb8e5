"""An MLP with a convolution; source and departure in search_spaces/channel_parts/convffn.py."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.channel_parts.convffn import KERNEL_SIZE
from supernets._elastic import Axes
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets.channel_parts._base import ELASTIC_CHANNEL_PARTS, AbstractElasticExpansion


class PlainConvFFN(nn.Module):
    """Layer norm, linear, hidden map plus its convolution, GELU, linear."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width, hidden = signature.shape.width, signature.kept.number("hidden")
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.expand = nn.Linear(width, hidden)
        self.conv = nn.Conv2d(hidden, hidden, KERNEL_SIZE, 1, KERNEL_SIZE // 2, groups=hidden)
        self.act = nn.GELU()
        self.project = nn.Linear(hidden, width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        x_BCHW = self.expand(self.norm(x_BHWC)).permute(0, 3, 1, 2)
        return self.project(self.act(x_BCHW + self.conv(x_BCHW)).permute(0, 2, 3, 1))


@final
@ELASTIC_CHANNEL_PARTS.register
class ElasticConvFFN(AbstractElasticExpansion):
    """Elastic width and expansion; hidden channels can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainConvFFN
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **linear_axes("expand", "hidden", "width"),
        "conv.weight": ("hidden", None, None, None),
        "conv.bias": ("hidden",),
        **linear_axes("project", "width", "hidden"),
    }
