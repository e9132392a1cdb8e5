"""HorNet's token mixer: a product of as many depthwise convolutions as its order says.

Source: Rao et al., HorNet: Efficient High-Order Spatial Interactions with Recursive Gated
Convolutions (2022), section 3.1. A projection gives p of the narrowest level
and q of all levels, whose widths double; p is multiplied with a convolution of q, mapped to the
next level, multiplied again. Departures: order and kernel are elastic, and a smaller order takes
for its p what a larger one has for p and its narrowest levels; widths that powers of 2 do not
divide are rounded up; gates are not scaled by a constant, which the convolution's kernel can learn;
no layer scale, as in `convnext`; no global filters instead of the convolution.
"""

from itertools import pairwise
from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._errors import CandidateError
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractMixer, Mixing, effective_kernel_size

MOST_ORDER = 5


@final
@OPERATORS.register
class HorNet(AbstractMixer):
    """Recursive gated convolution: features times depthwise features, level by level."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    mixer_dims: ClassVar[tuple[str, ...]] = ("order", "kernel_size")

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Kernels larger than the map reaches are one kernel."""
        order = pick.number("order")
        if not 1 <= order <= MOST_ORDER:
            raise CandidateError(
                f"operator 'hornet' has order {order}. It can have 1 to {MOST_ORDER}. Offer these."
            )
        kernel_size = effective_kernel_size(pick.number("kernel_size"), shape.size)
        return Options({"order": order, "kernel_size": kernel_size})

    def mixer_groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """None: the widest level is multiplied channel by channel with the map's."""
        return {}

    def mixer_cost(self, signature: Signature) -> Cost:
        """pixels * (3 C ** 2 + kernel ** 2 * gated + products of neighbouring levels' widths).

        Where powers of 2 divide the width C, gated is 2 C - C / 2 ** (order - 1). Products of maps
        are no multiply-adds, like channel attention's.
        """
        n, width = signature.shape.pixels, signature.shape.width
        order, kernel_size = signature.pick.number("order"), signature.pick.number("kernel_size")
        levels = level_widths(width, order)
        cost = (
            layers.layer_norm(n, width)
            + layers.linear(n, width, levels[0] + sum(levels))
            + layers.depthwise(n, sum(levels), kernel_size, has_norm=False)
            + layers.linear(n, width, width)
            + layers.pointwise(n, levels[0] + sum(levels), calls=3, quantizers=2)
            + layers.pointwise(n, width, calls=2)
            + layers.nodes(2)
        )
        for channels in levels:
            cost += layers.pointwise(n, channels, quantizers=1)
        for channels, wider in pairwise(levels):
            cost += layers.plain_conv(n, channels, wider, 1)
        return cost


def level_widths(width: int, order: int) -> list[int]:
    """Channels of every level, the narrowest first; the last has the map's."""
    return [-(-width // 2**halvings) for halvings in reversed(range(order))]
