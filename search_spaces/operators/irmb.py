"""Meta mobile block: one shortcut around an expansion, efficient operators and a projection.

Source: Zhang et al., EMOv2: Pushing 5M Vision Model Frontier (2024), the meta mobile block and
i2RMB. The efficient operators are none, which leaves an MLP, a depthwise convolution, which is an
inverted residual, attention, or attention and then a convolution with a shortcut of its own.
Attention is that of windows plus that of grids, whose positions are as far apart as windows are
many. Departures: attention comes before the expansion, as the authors' code has it behind a switch,
so expanded channels can be pruned and products are fewer, and its values are what comes in; heads
are as many as heads of the stage's size are in the width, or the next number that divides it;
windows' sides follow from the map (see _resolution.py), where one window is the map there is one
attention, and padding is 0 behind the projection to queries and keys; batch norm and ReLU6
everywhere, where the paper has layer norm in late stages, SiLU and GELU; batch norm behind
expansion and projection, as in `mbconv`, instead of one before them and of layer scale.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Option, Options
from search_spaces._resolution import window_size
from search_spaces._sides import written_sides
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import (
    OPERATORS,
    AbstractBlock,
    Mixing,
    effective_kernel_size,
    hidden_group,
)
from search_spaces.operators.mbconv import shortcut
from search_spaces.operators.window import num_windows

DEPTHWISE, ATTENTION = "depthwise", "attention"
"""Whether there is a depthwise convolution, and whether the block attends: 1 or 0."""


@final
@OPERATORS.register
class IRMB(AbstractBlock):
    """Expansion and projection around attention, a depthwise convolution, both or neither."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution", "attention")
    dims: ClassVar[tuple[str, ...]] = ("kernel_size", "expand_ratio", DEPTHWISE, ATTENTION)
    defaults: ClassVar[Mapping[str, Option]] = {DEPTHWISE: 1, ATTENTION: 1}

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """Kernels larger than the map reaches are one kernel; adds the window's sides."""
        has_kernel, attends = bool(pick[DEPTHWISE]), bool(pick[ATTENTION])
        kernel_size = effective_kernel_size(pick.number("kernel_size"), shape.size)
        return Options(
            {
                "kernel_size": kernel_size if has_kernel else 0,
                "expand_ratio": pick["expand_ratio"],
                DEPTHWISE: int(has_kernel),
                ATTENTION: int(attends),
                "head_dim": shape.head_dim,
                "window_size": written_sides(window_size(shape.size)) if attends else 0,
            }
        )

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """The expanded channels."""
        return {"hidden": hidden_group(pick, shape)}

    def cost(self, signature: Signature) -> Cost:
        """pixels * hidden * (2 * width + kernel_size ** 2) multiply-adds, and those of attention.

        These are tokens * width * (2 * width + 2 * keys), the second term twice where there are
        several windows; keys are a window's pixels.
        """
        shape, pick = signature.shape, signature.pick
        n, hidden, kernel_size = shape.pixels, signature.kept.number("hidden"), pick["kernel_size"]
        cost = layers.conv(n, shape.width, hidden, 1) + layers.clamp()
        if pick[ATTENTION]:
            cost += _attention(signature)
        if kernel_size:
            cost += layers.depthwise(n, hidden, pick.number("kernel_size"), has_norm=True)
            cost += layers.clamp()
        if kernel_size and pick[ATTENTION]:
            cost += layers.pointwise(n, hidden, quantizers=1)
        return cost + layers.conv(n, hidden, shape.width, 1) + shortcut(shape)


def num_heads(width: int, head_dim: int) -> int:
    """Heads of this size or a larger one: the largest number that divides the channels."""
    most = max(1, width // head_dim)
    return next(heads for heads in range(most, 0, -1) if width % heads == 0)


def _attention(signature: Signature) -> Cost:
    """Queries and keys, products inside of windows and of grids, copies."""
    shape, window = signature.shape, signature.pick.sides("window_size")
    n, width, grid = shape.pixels, shape.width, num_windows(shape.size, window)
    keys, heads = math.prod(window), num_heads(width, shape.head_dim)
    tokens = keys * math.prod(grid)
    passes = 2 if math.prod(grid) > 1 else 1
    products = Cost(
        attention=2 * tokens * keys * width,
        elements=2 * tokens * keys * heads + 6 * tokens * width,
        calls=6,
        quantizers=1,
    )
    found = layers.normed_conv(n, width, 2 * width) + layers.pointwise(n, 3 * width, calls=1)
    for _ in range(passes):
        found += products + layers.nodes(24)
    if tokens > n:
        found += layers.pointwise(tokens, 3 * width, calls=2)
    return found + layers.pointwise(n, width) if passes > 1 else found
