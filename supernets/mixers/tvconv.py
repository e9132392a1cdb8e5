"""TVConv: kernels of positions.

Source: Chen et al., TVConv (2022); declaration and departures in
search_spaces/operators/tvconv.py.
"""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.tvconv import AFFINITIES, GENERATOR_KERNEL_SIZE, HIDDEN
from supernets._elastic import KERNEL, AbstractUnpruned, Axes, Index
from supernets._neighbours import GeneratedKernels, NeighbourSum
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class PlainTVConv(nn.Module):
    """Depthwise convolution with generated kernels on a channels-last map."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, kernel_size = signature.shape, signature.pick.number("kernel_size")
        self.kernels = GeneratedKernels(
            shape.width,
            shape.size,
            kernel_size,
            affinities=AFFINITIES,
            hidden=HIDDEN,
            generator_kernel_size=GENERATOR_KERNEL_SIZE,
        )
        self.sum = NeighbourSum(shape.width, shape.size, kernel_size)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in."""
        summed_BCHW: Tensor = self.sum(x_BHWC.permute(0, 3, 1, 2), self.kernels())
        return summed_BCHW.permute(0, 2, 3, 1)


@final
@MIXERS.register
class ElasticTVConv(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width and kernel, which are outputs of one generator."""

    has_shortcut: ClassVar[bool] = False
    plain: ClassVar[type[nn.Module]] = PlainTVConv
    is_sized: ClassVar[bool] = True
    axes: ClassVar[Axes] = {
        "kernels.affinity": (None, None, None),
        "kernels.hidden_weight": (None, None, None, None),
        "kernels.hidden_bias": (None,),
        "kernels.kernel_weight": ("width", KERNEL, KERNEL, None),
        "kernels.kernel_bias": ("width", KERNEL, KERNEL),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels, the centre of the kernels."""
        return {"width": signature.shape.width, KERNEL: signature.pick.number("kernel_size")}
