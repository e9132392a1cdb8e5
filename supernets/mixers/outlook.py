"""Outlook attention.

Source: Yuan et al., VOLO (2021); declaration and departures in search_spaces/operators/outlook.py.
Shapes: B batch, H W space, P Q rows and columns of patches, S side of a patch, T positions of one,
N heads, D channels of a head, C channels.
"""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.outlook import SIDE, TAPS
from supernets._elastic import Axes, Index
from supernets._heads import AbstractHeads, inner_channels
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets._patches import Patches
from supernets.mixers._attention import AbstractElasticAttention
from supernets.mixers._base import MIXERS


class PlainOutlook(AbstractHeads):
    """Norm, values in patches, weights by the tokens in their middle, sum, projection."""

    makes_values: ClassVar[str] = "v"

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        pick, shape = signature.pick, signature.shape
        stride = pick.number("sr_ratio")
        self.width, self.is_pooled = shape.width, stride > 1
        self.heads, self.head_dim = signature.kept.number("heads"), pick.number("head_dim")
        self.inner = self.heads * self.head_dim
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
        self.v = nn.Linear(shape.width, self.inner)
        self.weigh = nn.Linear(shape.width, TAPS**2 * self.heads)
        if self.is_pooled:
            self.pool = nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)
        self.patches = Patches(shape.size, SIDE, stride)
        self.project = nn.Linear(self.inner, shape.width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        x_BHWC = self.norm(x_BHWC)
        (rows, columns), heads = self.patches.grid, self.heads
        weights = self.weigh(self._centres(x_BHWC))
        weights = weights.reshape(-1, rows * columns * heads, TAPS, TAPS)
        weights = (weights * self.head_dim**-0.5).softmax(-1)
        values = self.patches.take(self.v(x_BHWC))
        values = values.reshape(-1, rows, SIDE, columns, SIDE, heads, self.head_dim)
        values = values.permute(0, 1, 3, 5, 2, 4, 6)
        mixed = weights @ values.reshape(-1, rows * columns * heads, TAPS, self.head_dim)
        mixed = mixed.reshape(-1, rows, columns, heads, SIDE, SIDE, self.head_dim)
        mixed = mixed.permute(0, 1, 4, 2, 5, 3, 6)
        mixed = mixed.reshape(-1, rows * SIDE, columns * SIDE, self.inner)
        return self.project(self.patches.add(mixed, self.inner))

    def _centres(self, x_BHWC: Tensor) -> Tensor:
        """(B, P, Q, C)."""
        if not self.is_pooled:
            return x_BHWC
        centres: Tensor = self.pool(x_BHWC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return centres


@final
@MIXERS.register
class ElasticOutlook(AbstractElasticAttention):
    """Elastic width and heads, either stride; whole heads can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainOutlook
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **linear_axes("v", "inner", "width"),
        **linear_axes("weigh", "weighed", "width"),
        **linear_axes("project", "width", "inner"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Rows of values and weights, and columns of the projection, follow the heads."""
        assert isinstance(self.full, PlainOutlook)
        own, device = self.head_sizes(signature), self.full.v.weight.device
        return {**own, "weighed": inner_channels(own["heads"], TAPS**2, device)}
