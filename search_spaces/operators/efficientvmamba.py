"""EfficientVMamba's block: scans of every second position beside a convolution.

Source: Pei et al., EfficientVMamba: Atrous Selective Scan for Light Weight Visual Mamba (2024),
sections 3.2 and 3.3: a map is four interleaved grids, each of which one direction scans, so all
positions are scanned once; a depthwise convolution stands beside, and gates of the same squeeze and
excitation weigh the channels of both. As published there is no channel MLP. Departures: the four
directions are two by rows and two by columns and none is reversed, as in the published code; sides
that are odd are padded; the gates' means are of layer norms, as in that code; the convolution has
batch norm and then GELU, and no bias of its own; states have one element per channel where a stage
does not offer more, 16 in the paper.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Option, Options
from search_spaces._scans import (
    EXPANSION,
    STATE_SIZE,
    TOKEN_SHARE,
    selective_scan,
    state_space,
    step_rank,
    token_share,
)
from search_spaces._sides import Sides
from search_spaces._slot import HIDDEN_MULTIPLE, Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractBlock, Mixing

KERNEL_SIZE = 3

STEP = 2
"""Of the positions of a grid, along both sides."""

SQUEEZE = 8
"""Channels for each one that gates are made of."""


@final
@OPERATORS.register
class EfficientVMamba(AbstractBlock):
    """Four selective scans of interleaved grids and a depthwise convolution, gated and added up."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution", "attention")
    dims: ClassVar[tuple[str, ...]] = (STATE_SIZE, TOKEN_SHARE)
    defaults: ClassVar[Mapping[str, Option]] = {STATE_SIZE: 1, TOKEN_SHARE: 1}

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """The share of the tokens of each grid that is realised."""
        share = token_share("efficientvmamba", pick, math.prod(grid_size(shape.size)))
        return Options({STATE_SIZE: pick[STATE_SIZE], TOKEN_SHARE: share})

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """The channels that are scanned, each with its gate."""
        return {"inner": Group(EXPANSION * shape.width, HIDDEN_MULTIPLE)}

    def cost(self, signature: Signature) -> Cost:
        """Layers of both branches, and scans of as many tokens as there are pixels."""
        n, width = signature.shape.pixels, signature.shape.width
        inner, squeezed = signature.kept.number("inner"), squeezed_channels(width)
        rows, columns = grid_size(signature.shape.size)
        states, share = signature.pick.number(STATE_SIZE), signature.pick[TOKEN_SHARE]
        scanned = selective_scan(
            *(rows * columns, STEP**2, inner, states, step_rank(width)), share=share
        )
        return (
            layers.layer_norm(n, width)
            + state_space(n, width, inner)
            + layers.depthwise(n, inner, KERNEL_SIZE, has_norm=False)
            + scanned
            + layers.pointwise(n, inner, calls=10, quantizers=1)
            + layers.layer_norm(n, inner)
            + layers.depthwise(n, width, KERNEL_SIZE, has_norm=True)
            + layers.pointwise(n, width, calls=8, quantizers=3)
            + layers.linear(n, width, width)
            + layers.layer_norm(2 * n, width)
            + layers.linear(2, width, squeezed)
            + layers.linear(2, squeezed, width)
            + layers.pointwise(2, width, calls=3, quantizers=2)
            + layers.nodes(38)
        )


def grid_size(size: Sides) -> Sides:
    """Height and width of each of the four grids."""
    rows, columns = (-(-side // STEP) for side in size)
    return rows, columns


def squeezed_channels(width: int) -> int:
    """Channels that gates are made of."""
    return max(1, width // SQUEEZE)
