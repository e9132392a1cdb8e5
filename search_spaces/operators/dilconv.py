"""A separable convolution whose taps are two positions apart.

Source: Liu et al., DARTS: Differentiable Architecture Search (2019), section 3.1: dilated separable
convolutions of cells, applied once, with a dilation of 2. Departures: batch norm and ReLU6 behind
it instead of ReLU before it, so that all of it folds; the kernel is elastic.
"""

from typing import ClassVar, final

from search_spaces._choice import Options
from search_spaces._sides import Sides
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractBlock, Mixing
from search_spaces.operators.sepconv import separable_conv

TAPS_APART = 2


@final
@OPERATORS.register
class DilConv(AbstractBlock):
    """Dilated depthwise and 1x1 convolution, batch norm, ReLU6."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    dims: ClassVar[tuple[str, ...]] = ("kernel_size",)

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """Kernels larger than the map reaches are one kernel."""
        return Options({"kernel_size": dilated_size(pick.number("kernel_size"), shape.in_size)})

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """None: its channels are those of the slot."""
        return {}

    def cost(self, signature: Signature) -> Cost:
        """pixels * (kernel_size ** 2 + width) * in_width multiply-adds."""
        shape, side = signature.shape, signature.pick.number("kernel_size")
        return separable_conv(shape.pixels, shape.in_width, shape.width, side)


def dilated_size(kernel_size: int, size: Sides) -> int:
    """The largest kernel whose outer taps all reach a position: across the map's shorter side."""
    return min(kernel_size, 2 * ((min(size) - 1) // TAPS_APART) + 1)
