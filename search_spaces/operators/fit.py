"""FIT's token mixer: attention inside of groups, and among latents that read and write them.

Source: Chen and Li, FIT: Far-reaching Interleaved Transformers (2023): local attention inside of
every group, a few latents per group that read its tokens by cross-attention, global attention among
all latents, and cross-attention by which tokens read their group's latents. Departures: one of each
in every slot; queries of tokens serve local attention and reading from latents, their keys and
values local attention and what latents read; latents begin anew in every slot, and global attention
has no MLP, as the slot's channel part follows; groups are rectangles that divide the map; the
numbers of latents and of heads are elastic, the latter at a fixed head size.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Option, Options
from search_spaces._sides import Sides, written_sides
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._attention import AbstractAttention, heads_of
from search_spaces.operators._base import OPERATORS


@final
@OPERATORS.register
class FIT(AbstractAttention):
    """Local attention, read, global attention among latents, write."""

    mixer_dims: ClassVar[tuple[str, ...]] = ("num_heads", "num_latents")
    defaults: ClassVar[Mapping[str, Option]] = {"num_latents": 4}

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Adds the sides of groups."""
        return Options(
            {
                **heads_of(pick, shape),
                "num_latents": pick["num_latents"],
                "group_size": written_sides(group_size(shape.size)),
            }
        )

    def mixer_cost(self, signature: Signature) -> Cost:
        """Attention: 2 * inner * (pixels * (group + 2 * latents) + (groups * latents) ** 2)."""
        shape, pick = signature.shape, signature.pick
        n, width, heads = shape.pixels, shape.width, signature.kept.number("heads")
        inner, latents = heads * pick.number("head_dim"), pick.number("num_latents")
        group = math.prod(pick.sides("group_size"))
        everywhere = n // group * latents
        logits = n * (group + 2 * latents) + everywhere**2
        return (
            layers.layer_norm(n, width)
            + layers.linear(n, width, 3 * inner)
            + Cost(params=latents * inner, vectors=latents * inner)
            + Cost(attention=2 * logits * inner, elements=2 * logits * heads, calls=12)
            + layers.layer_norm(everywhere, inner)
            + layers.linear(everywhere, inner, 3 * inner)
            + layers.linear(everywhere, inner, inner)
            + layers.linear(everywhere, inner, 2 * inner)
            + layers.pointwise(everywhere, inner, calls=8, quantizers=4)
            + layers.pointwise(n, inner, calls=6, quantizers=2)
            + layers.pointwise(n, width, calls=2)
            + layers.linear(n, inner, width)
            + layers.nodes(46)
        )


def group_size(size: Sides) -> Sides:
    """Height and width of groups: of each side the smallest part that is long enough.

    Twice the sixth root of the pixels: of L positions groups then have about 4 * L ** (1 / 3), and
    attention inside of groups and among latents both grow as L ** (4 / 3).
    """
    least = 64 * math.prod(size)
    rows, columns = (
        next(
            part for part in range(1, side + 1) if side % part == 0 and _is_long(part, side, least)
        )
        for side in size
    )
    return rows, columns


def _is_long(part: int, side: int, least: int) -> bool:
    return part == side or part**6 >= least
