"""Attention inside of groups of tokens, which are other ones in every second pass of the slot.

Source: Shen et al., Sliced Recursive Transformer (2022): group self-attention in recursive passes,
with permutations between them. Groups are of neighbouring tokens, row by row, in the one pass,
and of tokens spread over the map in the next; two passes reach from every token to every other
where a group has at least as many tokens as there are groups. Departures: the number of groups is
the same in all passes; it is lowered until it divides the map in groups of at least 4; the first
pass of every second block has spread groups; the number of heads is elastic at a fixed head size,
as in `window`; how often the slot recurs is an option of every mixer (`_repeated.py`).
"""

from collections.abc import Mapping
from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Option, Options
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._attention import AbstractAttention, attended, heads_of
from search_spaces.operators._base import OPERATORS

LEAST_TOKENS = 4
"""Of a group."""


@final
@OPERATORS.register
class SReT(AbstractAttention):
    """Multi-head attention inside of groups of tokens; one group is all of the map."""

    mixer_dims: ClassVar[tuple[str, ...]] = ("num_heads", "num_groups")
    defaults: ClassVar[Mapping[str, Option]] = {"num_groups": 1}

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """The most groups up to those asked for that divide it, and whether they are spread."""
        groups = dividing_groups(pick.number("num_groups"), shape.pixels)
        starts = {"is_spread": shape.index % 2} if groups > 1 else {}
        return Options({**heads_of(pick, shape), "num_groups": groups, **starts})

    def mixer_cost(self, signature: Signature) -> Cost:
        """Projections and 2 * pixels ** 2 / groups * inner multiply-adds."""
        shape, pick = signature.shape, signature.pick
        n, width, heads = shape.pixels, shape.width, signature.kept.number("heads")
        inner = heads * pick.number("head_dim")
        return (
            layers.layer_norm(n, width)
            + layers.linear(n, width, 3 * inner)
            + attended(n, n // pick.number("num_groups"), heads, inner)
            + layers.pointwise(n, inner, calls=5, quantizers=2)
            + layers.nodes(12)
            + layers.linear(n, inner, width)
        )


def dividing_groups(wanted: int, pixels: int) -> int:
    """The most groups up to this number that divide a map in at least `LEAST_TOKENS` each."""
    most = max(1, min(wanted, pixels // LEAST_TOKENS))
    return next(number for number in range(most, 0, -1) if pixels % number == 0)
