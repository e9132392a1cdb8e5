"""Swin V2's attention; source and departures in search_spaces/operators/swinv2.py.

Shapes: B batch, N heads, H W space, D channels of a head, C channels.
"""

import math
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.swinv2 import BIAS_HIDDEN, windows
from supernets._blocked import BlockedAttention
from supernets._elastic import Axes, Index
from supernets._heads import AbstractHeads
from supernets._modules import NORM_EPS, linear_axes, norm_axes, unit
from supernets._position_bias import ContinuousBias
from supernets.mixers._attention import AbstractElasticAttention
from supernets.mixers._base import MIXERS

FIRST_SCALE, LARGEST_SCALE = 10.0, 100.0
"""What cosines are multiplied by: one over the temperature."""


class PlainSwinV2(AbstractHeads):
    """Cosine attention in shifted windows, projection, norm."""

    reads_values: ClassVar[str] = "mix"

    largest: Tensor

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        pick, shape = signature.pick, signature.shape
        rows, columns = windows(pick, shape.size)
        self.heads, self.head_dim = signature.kept.number("heads"), pick.number("head_dim")
        self.size, inner = shape.size, self.heads * self.head_dim
        self.qkv = nn.Linear(shape.width, 3 * inner)
        self.log_scale = nn.Parameter(torch.full((self.heads,), math.log(FIRST_SCALE)))
        # No clamp: in files of integers that is an activation which did not fold.
        largest = torch.tensor(math.log(LARGEST_SCALE), device="cpu")
        self.register_buffer("largest", largest, persistent=False)
        self.bias = ContinuousBias(self.heads, (rows.num_offsets, columns.num_offsets), BIAS_HIDDEN)
        self.attention = BlockedAttention(rows, columns, self.heads, self.head_dim)
        self.mix = nn.Linear(inner, shape.width)
        self.project = nn.LayerNorm(shape.width, eps=NORM_EPS)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        q, k, v = self.split_parts(self.qkv(x_BHWC), self.size, 3)
        scale_N = self.log_scale.minimum(self.largest).exp()
        q = unit(q) * scale_N.reshape(-1, 1, 1, 1)
        mixed_BHWC = self.attention(q, unit(k), v, self.bias())
        return self.project(self.mix(mixed_BHWC))


@final
@MIXERS.register
class ElasticSwinV2(AbstractElasticAttention):
    """Elastic width and heads, whatever the windows; whole heads can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainSwinV2
    axes: ClassVar[Axes] = {
        **linear_axes("qkv", "qkv", "width"),
        "log_scale": ("heads",),
        "bias.hidden_weight": (None, None),
        "bias.hidden_bias": (None,),
        "bias.head_weight": ("heads", None),
        **linear_axes("mix", "width", "inner"),
        **norm_axes("project", "width"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Rows of queries, keys and values, and columns of the projection, follow the heads."""
        return self.head_sizes(signature)
