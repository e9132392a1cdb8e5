"""Multi-head attention inside windows, shifted in every second block.

Source: Liu et al., Swin Transformer (2021), section 3.2. Departures: the number of heads is elastic
at a fixed head size, as in AutoFormer (Chen et al., 2021), so queries, keys and values may be
narrower than the residual stream; the window's sides follow from the map (see _resolution.py).
"""

import math
from typing import final

from search_spaces import _layers as layers
from search_spaces._choice import Option, Options
from search_spaces._resolution import window_size
from search_spaces._sides import Sides, written_sides
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._attention import AbstractAttention, heads_of
from search_spaces.operators._base import OPERATORS


@final
@OPERATORS.register
class Window(AbstractAttention):
    """Window attention with a relative position bias."""

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Adds the window's sides and shifts."""
        return Options({**heads_of(pick, shape), **shifted_windows(shape)})

    def mixer_cost(self, signature: Signature) -> Cost:
        """Projections and 2 * tokens * keys * inner multiply-adds; keys are a window's pixels.

        Maps that windows do not divide are padded, and the padding is counted.
        """
        shape, pick = signature.shape, signature.pick
        window, heads = pick.sides("window_size"), signature.kept.number("heads")
        inner = heads * pick.number("head_dim")
        keys = math.prod(window)
        tokens = keys * math.prod(num_windows(shape.size, window))
        table = heads * math.prod(2 * part - 1 for part in window)
        attention = Cost(
            attention=2 * tokens * keys * inner,
            params=table,
            vectors=table,
            elements=2 * tokens * keys * heads + tokens * inner,
            calls=4,
        )
        copies = 4 if any(pick.sides("shift")) or tokens != shape.pixels else 2
        return (
            layers.layer_norm(shape.pixels, shape.width)
            + layers.pointwise(shape.pixels, shape.width, calls=copies + 3, quantizers=2)
            + layers.linear(tokens, shape.width, 3 * inner)
            + attention
            + _graph(tokens, pick)
            + layers.linear(tokens, inner, shape.width)
        )


def shifted_windows(shape: Shape) -> dict[str, Option]:
    """The window's sides and shifts; along a side with one window there is no shift."""
    window = window_size(shape.size)
    rows, columns = (
        part // 2 if shape.index % 2 and part < side else 0
        for part, side in zip(window, shape.size, strict=True)
    )
    return {"window_size": written_sides(window), "shift": written_sides((rows, columns))}


def num_windows(size: Sides, window: Sides) -> Sides:
    """How many windows cover a map along its height and along its width."""
    rows, columns = (-(-side // part) for side, part in zip(size, window, strict=True))
    return rows, columns


def _graph(tokens: int, pick: Options) -> Cost:
    """Reshapes, what positions are looked up in and, of shifted windows, regions of all tokens."""
    graph = layers.nodes(27)
    if tokens > math.prod(pick.sides("window_size")):
        graph += layers.nodes(5)
    if any(pick.sides("shift")):
        graph += layers.nodes(25, values=tokens)
    return graph
