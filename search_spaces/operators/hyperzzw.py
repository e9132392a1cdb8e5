"""Terminator's token mixer: kernels of any size, the map's own included, from networks of places.

Source: Zhang, HyperZ.Z.W Operator Connects Slow-Fast Networks for Full Context Interaction (2024):
a slow network makes of the coordinates of a kernel's elements the kernel W; in the global branch W
has the map's size, and (W * Z) is multiplied with the map Z, so that all positions meet; local
branches have smaller kernels; a bottleneck joins all branches. Departures: maps need not be square,
so rows of the map are mixed by products of the rows of W * Z and of Z, and what is mixed is linear
in Z; kernels of local branches do not depend on the image, whose mean over a batch they read in the
published code, but on channels, which are gated first, by w z z of their means z with learnt
weights w; slow networks have two layers of waves; one GELU behind all branches instead of norms;
two local branches instead of four; a shortcut, which all operators of a slot have.
"""

from typing import final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.operators._base import OPERATORS, AbstractKernelMixer

HIDDEN = 16
"""Channels of slow networks."""

LEAST_KERNEL_SIZE = 3

BRANCHES = 4
"""That the bottleneck joins: global, two local ones, the gated map."""


@final
@OPERATORS.register
class HyperZZW(AbstractKernelMixer):
    """Generated kernels of the map's size and of two smaller ones, joined by a linear layer."""

    def mixer_cost(self, signature: Signature) -> Cost:
        """As deployed: pixels * width * (2 * height + kernels ** 2 + 5 * width) multiply-adds.

        Parameters of the kernels do not depend on their sizes.
        """
        (height, _), n = signature.shape.size, signature.shape.pixels
        width, sizes = signature.shape.width, local_sizes(signature.pick.number("kernel_size"))
        cost = (
            layers.layer_norm(n, width)
            + layers.linear(n, width, width)
            + Cost(
                attention=2 * n * width * height,
                params=slow_params(width) + width,
                vectors=n * width + width,
                elements=width * (2 * n + height**2),
                calls=3,
            )
            + layers.pointwise(n, width, calls=6, quantizers=2)
            + layers.pointwise(n, BRANCHES * width, calls=2, quantizers=1)
            + layers.nodes(9)
            + layers.linear(n, BRANCHES * width, width)
        )
        for size in sizes:
            deployed = layers.depthwise(n, width, size, has_norm=False)
            cost += deployed._replace(params=slow_params(width) + width)
        return cost


def local_sizes(kernel_size: int) -> tuple[int, int]:
    """Kernel sizes of the local branches: the one that is asked for, and about half of it."""
    return kernel_size, max(LEAST_KERNEL_SIZE, kernel_size // 2 | 1)


def slow_params(width: int) -> int:
    """Parameters of a slow network that makes kernels for so many channels."""
    return 2 * 3 * HIDDEN + HIDDEN * (HIDDEN + 1) + width * HIDDEN
