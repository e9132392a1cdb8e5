"""Mobile convolution, then window attention.

Source: Yang et al., MOAT (2022), section 3.2; declaration and departures in
search_spaces/operators/moat.py.
"""

from collections.abc import Mapping
from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import Axes, Index, inside
from supernets._heads import head_sizes, head_weights
from supernets.blocks._base import BLOCKS, AbstractElasticBlock
from supernets.blocks.mbconv import ElasticMBConv, PlainMBConv, conv_sizes, hidden_weights
from supernets.criteria._base import GroupWeights
from supernets.mixers.window import ElasticWindow, PlainWindow


class PlainMOAT(nn.Module):
    """x + MBConv(x), then x + attention(norm(x))."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        self.conv = PlainMBConv(signature)
        self.attention = PlainWindow(signature)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        x_BHWC = self.conv(x_BCHW).permute(0, 2, 3, 1)
        return (x_BHWC + self.attention(x_BHWC)).permute(0, 3, 1, 2)


@final
@BLOCKS.register
class ElasticMOAT(AbstractElasticBlock):
    """Elastic width, kernel, expansion and heads; expanded channels and heads can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainMOAT
    is_sized: ClassVar[bool] = True
    prunable: ClassVar[tuple[str, ...]] = ("hidden", "heads")
    axes: ClassVar[Axes] = {
        **inside("conv", ElasticMBConv.axes),
        **inside("attention", ElasticWindow.axes),
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = {
        **inside("conv", ElasticMBConv.without_gradient),
        **inside("attention", ElasticWindow.without_gradient),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Those of its two halves."""
        assert isinstance(self.full, PlainMOAT)
        pick = signature.pick
        hidden = signature.shape.width * pick.number("expand_ratio")
        heads = self.kept("heads", pick.number("num_heads"), signature)
        return {
            **conv_sizes(self.kept("hidden", hidden, signature), signature, self.full.conv),
            **head_sizes(heads, self.full.attention),
        }

    def group_weights(self) -> dict[str, GroupWeights]:
        """Hidden channels as in `mbconv`, heads as in `window`."""
        assert isinstance(self.full, PlainMOAT)
        return {
            "hidden": hidden_weights(self.full.conv, "depthwise"),
            "heads": head_weights(self.full.attention),
        }
