"""Global attention whose keys and values come from a smaller map.

Source: Wang et al., Pyramid Vision Transformer (2021), section 3.3. Departures: the number of heads
is elastic at a fixed head size, as in `window`; a reduction that does not divide the map, or leaves
a single key, is lowered to the next one that does not.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._sides import Sides
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._attention import AbstractAttention, attended, heads_of
from search_spaces.operators._base import OPERATORS


@final
@OPERATORS.register
class SRA(AbstractAttention):
    """Spatial-reduction attention; a reduction of 1 is plain multi-head attention."""

    mixer_dims: ClassVar[tuple[str, ...]] = ("num_heads", "sr_ratio")

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """The largest reduction up to the one asked for that divides both sides, each in 2 or more.

        So attention has at least 4 keys.
        """
        ratio = dividing_ratio(pick.number("sr_ratio"), shape.size)
        return Options({**heads_of(pick, shape), "sr_ratio": ratio})

    def mixer_cost(self, signature: Signature) -> Cost:
        """Projections and 2 * tokens * keys * inner multiply-adds, keys = tokens / ratio ** 2."""
        shape, pick = signature.shape, signature.pick
        n, width, ratio = shape.pixels, shape.width, pick.number("sr_ratio")
        heads = signature.kept.number("heads")
        inner, keys = heads * pick.number("head_dim"), n // ratio**2
        cost = layers.layer_norm(n, width)
        if ratio > 1:
            cost += layers.plain_conv(keys, width, width, ratio) + layers.layer_norm(keys, width)
            cost += layers.pointwise(n, width, calls=2, quantizers=1) + layers.nodes(1)
        return (
            cost
            + layers.linear(n, width, inner)
            + layers.linear(keys, width, 2 * inner)
            + attended(n, keys, heads, inner)
            + layers.pointwise(n, inner, calls=4, quantizers=3)
            + layers.nodes(18)
            + layers.linear(n, inner, width)
        )


def dividing_ratio(wanted: int, size: Sides) -> int:
    """The largest reduction up to this one that divides both sides, each in 2 or more."""
    most = max(1, min(wanted, min(size) // 2))
    return next(r for r in range(most, 0, -1) if not any(side % r for side in size))
