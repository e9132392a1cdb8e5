"""UniFormer's global block without its MLP.

Source: Li et al., UniFormer (2022); declaration and departures in
search_spaces/operators/uniglobal.py.
"""

from collections.abc import Mapping
from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import Axes, Index
from supernets._modules import conv_norm_axes
from supernets.criteria._base import GroupWeights
from supernets.mixers._base import MIXERS, AbstractElasticMixer
from supernets.mixers.sra import ElasticSRA, PlainSRA, sra_sizes, sra_weights
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
class ElasticUniGlobal(AbstractElasticMixer):
    """Elastic width and heads; whole heads can be pruned."""

    has_shortcut: ClassVar[bool] = True
    plain: ClassVar[type[nn.Module]] = PlainUniGlobal
    prunable: ClassVar[tuple[str, ...]] = ("heads",)
    axes: ClassVar[Axes] = {
        **conv_norm_axes("position.project", "width", None),
        **{f"attention.{n}": roles for n, roles in ElasticSRA.axes.items()},
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = {
        f"attention.{n}": part for n, part in ElasticSRA.without_gradient.items()
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Those of attention."""
        assert isinstance(self.full, PlainUniGlobal)
        heads = self.kept("heads", signature.pick.number("num_heads"), signature)
        return sra_sizes(heads, signature, self.full.attention)

    def group_weights(self) -> dict[str, GroupWeights]:
        """Each head's rows of the values and columns of the projection."""
        assert isinstance(self.full, PlainUniGlobal)
        return {"heads": sra_weights(self.full.attention)}
