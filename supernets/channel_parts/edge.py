"""An MLP with a convolution that keeps edges; source and departures in
search_spaces/channel_parts/edge.py. Shapes: B batch, C channels, H W space, F filters.
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import Signature
from search_spaces.channel_parts.edge import KERNEL_SIZE, NUM_FILTERS
from supernets._elastic import Axes
from supernets._merged import AbstractMergedConv
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets.channel_parts._base import ELASTIC_CHANNEL_PARTS, AbstractElasticExpansion

ALONG_ROWS = ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0))
ALONG_COLUMNS = tuple(zip(*ALONG_ROWS, strict=True))
SECOND = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))
FILTERS = (ALONG_ROWS, ALONG_COLUMNS, SECOND)


@final
class EdgeDepthwise(nn.Module, AbstractMergedConv):
    """A depthwise convolution with a bias, and fixed filters beside its kernel.

    Args:
        width: Channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stride, self.padding, self.groups = 1, KERNEL_SIZE // 2, width
        self.weight = nn.Parameter(torch.empty(width, 1, KERNEL_SIZE, KERNEL_SIZE))
        self.bias = nn.Parameter(torch.zeros(width))
        self.scales = nn.Parameter(torch.zeros(width, NUM_FILTERS))
        nn.init.normal_(self.weight, std=2**0.5 / KERNEL_SIZE)

    def kernel(self) -> tuple[Tensor, Tensor | None]:
        """(C, 1, 3, 3) and (C,)."""
        filters_F9 = torch.tensor(FILTERS).to(self.weight).flatten(1)
        edges = (self.scales @ filters_F9).reshape(self.weight.shape)
        return self.weight + edges, self.bias

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        return F.conv2d(x_BCHW, *self.kernel(), 1, self.padding, 1, self.groups)


class PlainEdge(nn.Module):
    """Layer norm, linear, convolution, GELU, linear."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width, hidden = signature.shape.width, signature.kept.number("hidden")
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.expand = nn.Linear(width, hidden)
        self.conv = EdgeDepthwise(hidden)
        self.act = nn.GELU()
        self.project = nn.Linear(hidden, width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        x_BCHW = self.conv(self.expand(self.norm(x_BHWC)).permute(0, 3, 1, 2))
        return self.project(self.act(x_BCHW).permute(0, 2, 3, 1))


@final
@ELASTIC_CHANNEL_PARTS.register
class ElasticEdge(AbstractElasticExpansion):
    """Elastic width and expansion; hidden channels can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainEdge
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **linear_axes("expand", "hidden", "width"),
        "conv.weight": ("hidden", None, None, None),
        "conv.bias": ("hidden",),
        "conv.scales": ("hidden", None),
        **linear_axes("project", "width", "hidden"),
    }
