"""TVConv: kernels of positions.

Source: Chen et al., TVConv (2022); declaration and departures in
search_spaces/operators/tvconv.py.
"""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.tvconv import AFFINITIES, GENERATOR_KERNEL_SIZE, HIDDEN
from supernets._elastic import KERNEL, Axes, Index
from supernets._neighbours import GeneratedDepthwise
from supernets.criteria._base import GroupWeights
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class PlainTVConv(nn.Module):
    """Depthwise convolution with generated kernels on a channels-last map."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, kernel_size = signature.shape, signature.pick.number("kernel_size")
        self.conv = GeneratedDepthwise(
            shape.width,
            shape.size,
            kernel_size,
            affinities=AFFINITIES,
            hidden=HIDDEN,
            generator_kernel_size=GENERATOR_KERNEL_SIZE,
        )

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in."""
        return self.conv(x_BHWC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


@final
@MIXERS.register
class ElasticTVConv(AbstractElasticMixer):
    """Elastic width and kernel, which are outputs of one generator."""

    has_shortcut: ClassVar[bool] = False
    plain: ClassVar[type[nn.Module]] = PlainTVConv
    is_sized: ClassVar[bool] = True
    axes: ClassVar[Axes] = {
        "conv.affinity": (None, None, None),
        "conv.hidden_weight": (None, None, None, None),
        "conv.hidden_bias": (None,),
        "conv.kernel_weight": ("width", KERNEL, KERNEL, None),
        "conv.kernel_bias": ("width", KERNEL, KERNEL),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels, the centre of the kernels."""
        return {"width": signature.shape.width, KERNEL: signature.pick.number("kernel_size")}

    def group_weights(self) -> dict[str, GroupWeights]:
        """Nothing can be pruned."""
        return {}
