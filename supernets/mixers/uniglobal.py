"""UniFormer's global block without its MLP.

Source: Li et al., UniFormer (2022); declaration and departures in
search_spaces/operators/uniglobal.py.
"""

from collections.abc import Mapping
from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import Axes, Index, inside
from supernets._modules import conv_norm_axes
from supernets.mixers._attention import AbstractElasticAttention
from supernets.mixers._base import MIXERS
from supernets.mixers.sra import ElasticSRA, PlainSRA, reduction_sizes
from supernets.mixers.unilocal import PositionConv


class PlainUniGlobal(nn.Module):
    """Positions, then attention to all positions, each with a shortcut."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        self.position = PositionConv(signature.shape.width)
        self.attention = PlainSRA(signature)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without the shortcut around all of it."""
        position_BHWC = self.position(x_BHWC)
        mixed: Tensor = position_BHWC + self.attention(x_BHWC + position_BHWC)
        return mixed


@final
@MIXERS.register
class ElasticUniGlobal(AbstractElasticAttention):
    """Elastic width and heads; whole heads can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainUniGlobal
    heads_at: ClassVar[str] = "attention"
    axes: ClassVar[Axes] = {
        **conv_norm_axes("position.project", "width", None),
        **inside("attention", ElasticSRA.axes),
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = inside(
        "attention", ElasticSRA.without_gradient
    )

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Those of attention."""
        return {**self.head_sizes(signature), **reduction_sizes(signature)}
