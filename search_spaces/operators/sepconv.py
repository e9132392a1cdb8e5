"""Two separable convolutions behind each other: depthwise, then 1x1, twice.

Source: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition (2018),
section 3 and appendix: separable convolutions of cells are applied twice, without a norm
between the depthwise and the 1x1 convolution. Departures: batch norm and ReLU6 behind each pair
instead of ReLU before it, so that all of it folds; the kernel is elastic, and channels between the
pairs can be pruned.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import HIDDEN_MULTIPLE, Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractBlock, Mixing, effective_kernel_size


@final
@OPERATORS.register
class SepConv(AbstractBlock):
    """Depthwise and 1x1 convolution, batch norm, ReLU6, and all of it once more."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    dims: ClassVar[tuple[str, ...]] = ("kernel_size",)

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """Kernels larger than the map reaches are one kernel."""
        kernel_size = effective_kernel_size(pick.number("kernel_size"), shape.in_size)
        return Options({"kernel_size": kernel_size})

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """The channels between the two."""
        return {"hidden": Group(shape.width, HIDDEN_MULTIPLE)}

    def cost(self, signature: Signature) -> Cost:
        """pixels * ((kernel_size ** 2 + hidden) * in_width + (kernel_size ** 2 + width) * hidden)
        multiply-adds."""
        shape, side = signature.shape, signature.pick.number("kernel_size")
        hidden = signature.kept.number("hidden")
        first = separable_conv(shape.pixels, shape.in_width, hidden, side)
        return first + separable_conv(shape.pixels, hidden, shape.width, side)


def separable_conv(n: int, in_width: int, width: int, kernel_size: int) -> Cost:
    """A depthwise convolution without a norm, then a 1x1 one with norm and activation.

    Args:
        n: Positions.
        in_width: Channels that come in.
        width: Channels that go out.
        kernel_size: Side of the depthwise kernel.
    """
    weights = kernel_size**2 * in_width
    depthwise = layers.layer(n, weights, in_width, graph_bytes=layers.CONV_BYTES, is_depthwise=True)
    return depthwise + layers.conv(n, in_width, width, 1) + layers.clamp()
