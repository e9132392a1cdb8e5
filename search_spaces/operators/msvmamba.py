"""MSVMamba's token mixer: one scan of the map, the other directions on a smaller one.

Source: Shi et al., Multi-Scale VMamba: Hierarchy in Hierarchy Visual State Space Model (2024),
section 4.2: a convolution of stride 2 makes the smaller map, three directions of which share
parameters; what they give is enlarged and added to what the scan of the whole map gives, gated by
squeeze and excitation and by half of the expansion. Departures: the number of directions is
elastic, in the order in which the published code takes them away; each direction begins with an
empty state, where in that code they are one sequence; the kernel of stride 2 is no larger than the
map reaches; gates are made with GELU instead of ReLU, which can cut their few channels off. The
paper's channel part is `convffn`.
"""

from typing import final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._scans import (
    EXPANSION,
    NUM_DIRECTIONS,
    STATE_SIZE,
    TOKEN_SHARE,
    num_directions,
    selective_scan,
    state_space,
    step_rank,
    token_share,
    unbiased,
)
from search_spaces._sides import Sides
from search_spaces._slot import HIDDEN_MULTIPLE, Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS
from search_spaces.operators._directed import AbstractDirectedScans

KERNEL_SIZE, REDUCING_KERNEL_SIZE = 3, 7

STRIDE = 2
"""Of the convolution that makes the smaller map."""

SQUEEZE = 8
"""Channels for each one that gates are made of."""


@final
@OPERATORS.register
class MSVMamba(AbstractDirectedScans):
    """A selective scan of the map and up to three of a smaller one."""

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Adds the size of the kernel of stride 2, 0 where all there is is the whole map."""
        directions = num_directions("msvmamba", pick)
        reach = min(STRIDE * (-(-side // STRIDE) - 1) for side in shape.size)
        reducing = min(REDUCING_KERNEL_SIZE, 2 * reach + 1) if directions > 1 else 0
        share = token_share("msvmamba", pick, shape.pixels)
        return Options(
            {
                STATE_SIZE: pick[STATE_SIZE],
                NUM_DIRECTIONS: directions,
                TOKEN_SHARE: share,
                "reducing_kernel": reducing,
            }
        )

    def mixer_groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """The channels that are scanned, each with its gate."""
        return {"inner": Group(EXPANSION * shape.width, HIDDEN_MULTIPLE)}

    def mixer_cost(self, signature: Signature) -> Cost:
        """Scans of pixels * (1 + others / 4) tokens, where sides are even, and the layers."""
        shape, pick, share = signature.shape, signature.pick, signature.pick[TOKEN_SHARE]
        n, width, inner = shape.pixels, shape.width, signature.kept.number("inner")
        states, rank, squeezed = pick.number(STATE_SIZE), step_rank(width), inner_squeezed(inner)
        cost = (
            layers.layer_norm(n, width)
            + state_space(n, width, inner)
            + layers.depthwise(n, inner, KERNEL_SIZE, has_norm=False)
            + selective_scan(n, 1, inner, states, rank, share=share)
            + layers.layer_norm(n, inner)
            + layers.pointwise(n, inner, calls=8, quantizers=1)
            + unbiased(1, inner, squeezed)
            + unbiased(1, squeezed, inner)
            + layers.pointwise(1, inner, calls=4, quantizers=2)
            + layers.nodes(10)
        )
        others = pick.number(NUM_DIRECTIONS) - 1
        if others:
            rows, columns = reduced_size(shape.size)
            m = rows * columns
            cost += (
                layers.depthwise(m, inner, pick.number("reducing_kernel"), has_norm=False)
                + selective_scan(m, 1, inner, states, rank, copies=others, share=share)
                + layers.pointwise(others * m, inner, calls=10)
                + layers.pointwise(n, inner, calls=3)
                + layers.nodes(16 + 9 * (others - 1))
            )
        return cost


def reduced_size(size: Sides) -> Sides:
    """Height and width of the smaller map."""
    rows, columns = (-(-side // STRIDE) for side in size)
    return rows, columns


def inner_squeezed(inner: int) -> int:
    """Channels that gates are made of."""
    return max(1, inner // SQUEEZE)
