"""A plain convolution with its norm and activation, and no shortcut.

Source: Dong and Yang, NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search
(2020), section 2.1: "1x1 convolution" and "3x3 convolution" of its cells. Departures: the order is
convolution, batch norm, ReLU6 instead of ReLU, convolution, batch norm, so that all of it is one
kernel when it is deployed; the kernel is elastic.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractBlock, Mixing, effective_kernel_size


@final
@OPERATORS.register
class Conv(AbstractBlock):
    """Convolution, batch norm, ReLU6."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    dims: ClassVar[tuple[str, ...]] = ("kernel_size",)

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """Kernels larger than the map reaches are one kernel."""
        kernel_size = effective_kernel_size(pick.number("kernel_size"), shape.in_size)
        return Options({"kernel_size": kernel_size})

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """None: its channels are those of the slot."""
        return {}

    def cost(self, signature: Signature) -> Cost:
        """pixels * kernel_size ** 2 * in_width * width multiply-adds."""
        shape, side = signature.shape, signature.pick.number("kernel_size")
        return layers.conv(shape.pixels, shape.in_width, shape.width, side) + layers.clamp()
