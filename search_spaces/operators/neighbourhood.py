"""Attention of every position to the k * k nearest ones, which may be some positions apart.

Source: Hassani et al., Neighborhood Attention Transformer (2023), section 3.1: near a border the
neighbourhood is moved inwards, so that it has k * k keys everywhere, and a bias is learnt for every
offset; Hassani and Shi, Dilated Neighborhood Attention Transformer (2022), section 3.1: neighbours
are `dilation` positions apart; Hassani et al., Generalized Neighborhood Attention (2025), section
3.1: `window_stride` neighbouring queries share the neighbourhood of the middle one, all of them
where the stride is k. Departures: heads are elastic at a fixed size, as in `window`; a side that
is shorter than k is a neighbourhood, a dilation with which a side has fewer than k neighbours is
lowered for it, a stride is at most k; no token beside the map and no causal neighbourhoods;
dilations do not take turns over blocks by themselves, as each block has its own.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar, final

from search_spaces._blocked import BlockedSide, neighbourhoods
from search_spaces._choice import Option, Options
from search_spaces._errors import CandidateError
from search_spaces._sides import Sides
from search_spaces._slot import Shape
from search_spaces.operators._base import OPERATORS
from search_spaces.operators._blocked import AbstractBlockedAttention

LEAST_KERNEL_SIZE = 3


@final
@OPERATORS.register
class Neighbourhood(AbstractBlockedAttention):
    """Attention to a moving window of neighbours, dilated or strided."""

    mixer_dims: ClassVar[tuple[str, ...]] = (
        "num_heads",
        "kernel_size",
        "dilation",
        "window_stride",
    )
    defaults: ClassVar[Mapping[str, Option]] = {"dilation": 1, "window_stride": 1}

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """What is beyond the map is lowered; of strides that do the same it is the smallest."""
        kernel_size = pick.number("kernel_size")
        if kernel_size < LEAST_KERNEL_SIZE:
            raise CandidateError(
                f"operator 'neighbourhood' has kernel_size {kernel_size}, a neighbourhood of one "
                f"position. It can have {LEAST_KERNEL_SIZE} and more. Offer these."
            )
        dilation, stride = pick.number("dilation"), pick.number("window_stride")
        kernel_size = min(kernel_size, max(shape.size))
        dilation = max(_dilation(side, kernel_size, dilation) for side in shape.size)
        return Options(
            {
                "num_heads": pick["num_heads"],
                "kernel_size": kernel_size,
                "dilation": dilation,
                "window_stride": _least_stride(shape.size, kernel_size, dilation, stride),
                "head_dim": shape.head_dim,
            }
        )

    def blocked(self, pick: Options, size: Sides) -> tuple[BlockedSide, BlockedSide]:
        """Blocks of as many queries as the stride says."""
        picked = (pick.number(dim) for dim in ("kernel_size", "dilation", "window_stride"))
        return _blocked(size, *picked)


def _dilation(side: int, kernel_size: int, dilation: int) -> int:
    """The largest one up to this with which the side has neighbourhoods of full size."""
    return max(1, min(dilation, side // kernel_size))


def _blocked(
    size: Sides, kernel_size: int, dilation: int, stride: int
) -> tuple[BlockedSide, BlockedSide]:
    rows, columns = (
        neighbourhoods(
            side,
            min(kernel_size, side),
            _dilation(side, kernel_size, dilation),
            min(stride, kernel_size, side),
        )
        for side in size
    )
    return rows, columns


@lru_cache(maxsize=4096)
def _least_stride(size: Sides, kernel_size: int, dilation: int, stride: int) -> int:
    """The smallest stride with which all positions see what they do with this one."""

    def seen(stride: int) -> list[list[tuple[int, ...]]]:
        sides = _blocked(size, kernel_size, dilation, stride)
        return [[side.seen(position) for position in range(side.length)] for side in sides]

    stride = min(stride, kernel_size)
    wanted = seen(stride)
    return next(smaller for smaller in range(1, stride + 1) if seen(smaller) == wanted)
