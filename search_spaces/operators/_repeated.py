"""Recursion: a mixer's slot may use its weights several times in depth, one pass behind the other.

A pass is the mixer and the slot's channel part with their shortcuts. In front of every pass but the
first stands a small projection of its own with a shortcut: layer norm, linear, GELU, linear, half
as wide as the map between the two. Parameters grow by projections alone, multiply-adds with the
number of passes.

Source: Shen et al., Sliced Recursive Transformer (2022). Departures: any mixer can recur, with
whatever channel part; the number of passes is elastic, and all members use the same projections
from the first one on; half of the width is ours.
"""

from search_spaces import _layers as layers
from search_spaces._choice import Option, Options
from search_spaces._dimensions import NUMBERS
from search_spaces._slot import Cost

REPEATS = "repeats"
"""The choice of how many passes there are. Normalised picks of one pass leave it out."""

MOST_REPEATS = NUMBERS[REPEATS][-1]

STORED = frozenset(
    (
        "params",
        "weights",
        "vectors",
        "channels",
        "layers",
        "matrices",
        "matrix_weights",
        "matrix_channels",
        "grouped",
        "matrix_grouped",
        "blocked",
        "matrix_groups",
    )
)
"""Of a cost, what does not grow with the passes: numbers that are stored once."""


HEADER_BYTES = 85
"""Of the bytes of a layer in a file, headers of tensors, which all passes read. Measured."""


def num_passes(pick: Options) -> int:
    """How often a slot's weights are used."""
    return pick.number(REPEATS) if REPEATS in pick else 1


def repeats_pick(pick: Options) -> dict[str, Option]:
    """What a normalised pick says of passes: nothing of a single one."""
    passes = num_passes(pick)
    return {REPEATS: passes} if passes > 1 else {}


def repeated(one_pass: Cost, passes: int) -> Cost:
    """Cost of passes with the same weights, without what stands between them."""
    grown = {
        name: value if name in STORED else passes * value
        for name, value in one_pass._asdict().items()
    }
    further = passes - 1
    return Cost(**grown) + Cost(
        reused_layers=further * one_pass.layers,
        reused_channels=further * one_pass.channels,
        graph_bytes=-further * HEADER_BYTES * one_pass.layers,
    )


def between_cost(n: int, width: int, passes: int) -> Cost:
    """Projections in front of all passes but the first, with their shortcuts.

    2 * pixels * width * hidden multiply-adds each.
    """
    hidden = projection_width(width)
    one = (
        layers.layer_norm(n, width)
        + layers.linear(n, width, hidden)
        + layers.pointwise(n, hidden, quantizers=2)
        + layers.linear(n, hidden, width)
        + layers.pointwise(n, width)
    )
    return sum((passes - 1) * [one], Cost())


def projection_width(width: int) -> int:
    """Channels between the two layers of a projection."""
    return -(-width // 2)
