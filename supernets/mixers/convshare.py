"""ConvShareViT's attention with shared kernels.

Source: Ibadulla et al., ConvShareViT (2025); declaration and departures in
search_spaces/operators/convshare.py. Shapes: B batch, C channels, H W space, T positions.
"""

import math
from typing import ClassVar, final

from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import Signature
from search_spaces.operators.convshare import head_features, sheet_size
from supernets._elastic import KERNEL, Axes, Index
from supernets._heads import AbstractHeads, attended
from supernets._modules import NORM_EPS, norm_axes
from supernets.mixers._attention import AbstractElasticAttention
from supernets.mixers._base import MIXERS


class PlainConvShare(AbstractHeads):
    """Norm, convolutions of every token's sheet, attention, a convolution back to sheets."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, kernel_size = signature.shape, signature.pick.number("kernel_size")
        self.size, self.width, self.tokens = shape.size, shape.width, shape.pixels
        self.heads, self.head_dim = signature.kept.number("heads"), 1  # a kernel each
        self.sheet = sheet_size(shape.width)
        self.features = head_features(shape.width, kernel_size)
        self.missing = math.prod(self.sheet) - shape.width
        self.places = [side - kernel_size + 1 for side in self.sheet]
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
        self.qkv = nn.Conv2d(1, 3 * self.heads, kernel_size, bias=False)
        self.project = nn.Conv2d(self.heads, 1, kernel_size, padding=kernel_size - 1, bias=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        qkv = self.qkv(self.sheets(self.norm(x_BHWC)))
        qkv = qkv.reshape(-1, self.tokens, 3, self.heads, self.features).permute(2, 0, 3, 1, 4)
        mixed = attended(qkv[0] * self.features**-0.5, qkv[1], qkv[2]).transpose(1, 2)
        mixed = mixed.reshape(-1, self.heads, *self.places)
        x_BHWC = self.project(mixed).reshape(-1, *self.size, self.width + self.missing)
        return x_BHWC[..., : self.width] if self.missing else x_BHWC

    def sheets(self, x_BHWC: Tensor) -> Tensor:
        """(B * T, 1, height, width of a sheet)."""
        if self.missing:
            x_BHWC = F.pad(x_BHWC, (0, self.missing))
        return x_BHWC.reshape(-1, 1, *self.sheet)


@final
@MIXERS.register
class ElasticConvShare(AbstractElasticAttention):
    """Elastic kernel and heads, the same for all widths; whole heads can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainConvShare
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        "qkv.weight": ("qkv", None, KERNEL, KERNEL),
        "project.weight": (None, "heads", KERNEL, KERNEL),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Kernels of queries, keys and values, and those behind, follow the heads."""
        return {**self.head_sizes(signature), KERNEL: signature.pick.number("kernel_size")}
