"""TVConv's token mixer: a depthwise kernel for every position, the same for all images.

Source: Chen et al., TVConv: Efficient Translation Variant Convolution for Layout-aware Visual
Processing (2022): a small network makes the kernels of a learnt affinity map, and is
dropped after training. Departures: the network is a 3x3 convolution, GELU and a 1x1 convolution,
without norms; width and kernel are elastic; weights belong to the map's sides; the slot's channel
part follows.
"""

from typing import final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.operators._base import OPERATORS, AbstractKernelMixer

AFFINITIES, HIDDEN = 4, 16
"""Channels of the affinity map, and of what the network makes of it first."""

GENERATOR_KERNEL_SIZE = 3


@final
@OPERATORS.register
class TVConv(AbstractKernelMixer):
    """Depthwise convolution with a kernel of its own at every position."""

    def mixer_cost(self, signature: Signature) -> Cost:
        """As deployed: pixels * width * kernel_size ** 2 multiply-adds, and as many numbers.

        They are in fp32 in every format. Parameters are those of the network that makes them.
        """
        n, width = signature.shape.pixels, signature.shape.width
        taps = width * signature.pick.number("kernel_size") ** 2
        inputs = AFFINITIES * GENERATOR_KERNEL_SIZE**2
        params = AFFINITIES * n + HIDDEN * (inputs + 1) + taps * (HIDDEN + 1)
        return (
            layers.neighbour_sum(n, width, signature.pick.number("kernel_size"))
            + Cost(params=params, vectors=n * taps)
            + layers.pointwise(n, width, calls=2)
        )
