"""HRVMamba's token mixer: kernels of four sizes, then scans of what is sampled where it matters.

Source: Zhang et al., HRVMamba: High-Resolution Visual State Space Model for Dense Prediction
(2024), dynamic visual state space block: quarters of the channels see depthwise kernels of 3, 5, 7
and 9; a deformable convolution takes the place of the one before the scans, whose states have one
element per channel; four directions. Departures: places are at most one pixel from the taps of the
3x3 kernel, by tanh, so a sample is a sum over 5x5 neighbours (`supernets/_deformable.py`), which
runtimes have; there are no linear layers around it, since the expansion precedes it and the
projection follows; the first shortcut ends before the scans, so that a fresh block changes nothing;
channels are not shuffled, which the expansion does; directions are elastic. The paper's parallel
streams are a kind of network and not here; the block keeps the size of its map.
"""

from typing import final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._errors import CandidateError
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
)
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, effective_kernel_size
from search_spaces.operators._directed import AbstractDirectedScans

KERNEL_SIZES = (3, 5, 7, 9)

GROUP_SIZE = 32
"""Channels that are sampled at the same places; the last ones may be fewer."""

TAPS, REACH = 9, 5
"""Of the deformable kernel, and the side of the neighbourhood in which its places lie."""


@final
@OPERATORS.register
class DVSS(AbstractDirectedScans):
    """Kernels of four sizes, deformable sampling, selective scans of up to four directions."""

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Adds the kernels' sizes, as far as the map reaches."""
        if shape.width < len(KERNEL_SIZES):
            raise CandidateError(
                f"operator 'dvss' splits channels into {len(KERNEL_SIZES)} parts, and there are "
                f"{shape.width}. Offer widths of {len(KERNEL_SIZES)} or more."
            )
        kernels = {
            kernel_name(size): effective_kernel_size(size, shape.size) for size in KERNEL_SIZES
        }
        directions = num_directions("dvss", pick)
        own = {STATE_SIZE: pick[STATE_SIZE], NUM_DIRECTIONS: directions}
        share = token_share("dvss", pick, shape.pixels)
        return Options({**own, TOKEN_SHARE: share, **kernels})

    def mixer_groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """None: neighbouring channels share places."""
        return {}

    def mixer_cost(self, signature: Signature) -> Cost:
        """Layers, sums over 25 neighbours of all that is scanned, and the scans."""
        n, width, pick = signature.shape.pixels, signature.shape.width, signature.pick
        inner, groups = EXPANSION * width, num_groups(EXPANSION * width)
        directions = pick.number(NUM_DIRECTIONS)
        cost = (
            layers.layer_norm(n, width)
            + layers.layer_norm(n, width)
            + layers.pointwise(n, width, calls=6, quantizers=4)
            + state_space(n, width, inner)
            + layers.plain_conv(n, inner, 3 * TAPS * groups, 1)
            + layers.pointwise(n, groups * TAPS * REACH, calls=8)
            + layers.pointwise(n, groups * TAPS * REACH**2, calls=2)
            + layers.nodes(42)
            + layers.neighbour_sum(n, inner, REACH)
            + selective_scan(
                *(n, directions, inner, pick.number(STATE_SIZE), step_rank(width)),
                share=pick[TOKEN_SHARE],
            )
            + layers.pointwise(n, inner, calls=5 + 3 * directions, quantizers=1)
            + layers.layer_norm(n, inner)
        )
        for size, channels in zip(KERNEL_SIZES, branch_widths(width), strict=True):
            cost += layers.depthwise(n, channels, pick.number(kernel_name(size)), has_norm=False)
        return cost


def kernel_name(kernel_size: int) -> str:
    """Name of what a pick says of a kernel of this size, which may be larger than the map."""
    return f"kernel{kernel_size}"


def branch_widths(width: int) -> list[int]:
    """Channels that see each kernel: none has fewer of more channels."""
    parts = len(KERNEL_SIZES)
    return [(width + parts - 1 - place) // parts for place in range(parts)]


def num_groups(inner: int) -> int:
    """Groups of channels with places of their own."""
    return -(-inner // GROUP_SIZE)
