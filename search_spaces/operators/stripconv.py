"""A convolution of a row of positions, then one of a column: 1x7, then 7x1.

Source: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition (2018),
section 3, the operation "1x7 then 7x1 convolution". Departures: batch norm and ReLU6 behind both
instead of ReLU before and a norm behind each, so that all of it folds; the kernel is elastic.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractBlock, Mixing, effective_kernel_size


@final
@OPERATORS.register
class StripConv(AbstractBlock):
    """Convolution of a row, convolution of a column, batch norm, ReLU6."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    dims: ClassVar[tuple[str, ...]] = ("kernel_size",)

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """Kernels larger than the map's shorter side reaches are one kernel, for both."""
        side = min(shape.in_size)
        kernel_size = effective_kernel_size(pick.number("kernel_size"), (side, side))
        return Options({"kernel_size": kernel_size})

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """None: its channels are those of the slot."""
        return {}

    def cost(self, signature: Signature) -> Cost:
        """pixels * kernel_size * width * (in_width + width) multiply-adds."""
        shape, side = signature.shape, signature.pick.number("kernel_size")
        n, width, norm = shape.pixels, shape.width, layers.batch_norm(shape.width)
        cost = norm + layers.clamp()
        for inputs in (shape.in_width, width):
            weights = side * inputs * width
            cost += layers.layer(n, weights, width, graph_bytes=layers.CONV_BYTES)
            cost += layers.grouped(n, inputs, weights)
        return cost
