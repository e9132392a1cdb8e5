"""A residual block whose two convolutions are sums of products of one-way filters.

Source: Boukraichi et al., A priori compression of convolutional neural networks for wave simulators
(2023): the format of a compressed kernel is chosen before it is trained. A product of four vectors,
one of the inputs, one of the kernel's rows, one of its columns and one of the outputs, is a kernel
of rank 1, and a convolution of rank R is a sum of R of them: 1x1, then a column and a row of every
channel, then 1x1. Departures: kernel and rank are elastic, the rank being an expansion of the
channels, and products can be pruned; norm, activation and shortcut are those of `basic`.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import HIDDEN_MULTIPLE, Cost, Group, Shape, Signature
from search_spaces.norms._base import NORM, norm_of, normalised_norm
from search_spaces.operators._base import OPERATORS, Mixing, effective_kernel_size
from search_spaces.operators._normed import AbstractNormedBlock
from search_spaces.operators.mbconv import shortcut

CONVOLUTIONS = ("expand", "project")
"""Groups of products, one per convolution."""


@final
@OPERATORS.register
class OneWay(AbstractNormedBlock):
    """Two factored convolutions, norm and activation between, batch norm behind, shortcut."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    dims: ClassVar[tuple[str, ...]] = ("kernel_size", "expand_ratio", NORM)

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """Kernels larger than the map reaches are one kernel."""
        return Options(
            {
                "kernel_size": effective_kernel_size(pick.number("kernel_size"), shape.in_size),
                "expand_ratio": pick["expand_ratio"],
                **normalised_norm(pick),
            }
        )

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """The products of either convolution."""
        rank = pick.number("expand_ratio") * shape.width
        return {name: Group(rank, HIDDEN_MULTIPLE) for name in CONVOLUTIONS}

    def cost(self, signature: Signature) -> Cost:
        """pixels * rank * (inputs + 2 * kernel_size + outputs) multiply-adds per convolution."""
        shape, norm = signature.shape, norm_of(signature.pick)
        n, width = shape.pixels, shape.width
        side = signature.pick.number("kernel_size")
        cost = shortcut(shape)
        for name in CONVOLUTIONS:
            is_first, rank = name == CONVOLUTIONS[0], signature.kept.number(name)
            inputs = shape.in_width if is_first else width
            across = layers.layer(n, inputs * rank, rank, graph_bytes=layers.CONV_BYTES)
            one_way = layers.layer(
                n, side * rank, rank, graph_bytes=layers.CONV_BYTES, is_depthwise=True
            )
            cost += across + layers.grouped(n, inputs, inputs * rank) + one_way + one_way
            cost += layers.conv(n, rank, width, 1, norm=norm if is_first else None)
        return cost
