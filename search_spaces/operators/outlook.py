"""Outlook attention: a position decides how its neighbours are mixed, without queries and keys.

Source: Yuan et al., VOLO: Vision Outlooker for Visual Recognition (2021), section 3.1: a linear
layer makes of the token in the middle of 3x3 positions the weights by which these 9 attend to each
other; what all patches say about a position is added up; with a stride, patches stand at every so
many positions, and the token is the average there. Departures: heads are elastic, of a fixed size;
values have a bias; the stride is `sr_ratio`, at most 2, so patches overlap.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._resolution import halved
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._attention import AbstractAttention, heads_of
from search_spaces.operators._base import OPERATORS

SIDE = 3
"""Of a patch."""

TAPS = SIDE**2
MOST_STRIDE = 2


@final
@OPERATORS.register
class Outlook(AbstractAttention):
    """Outlook attention of 3x3 patches."""

    mixer_dims: ClassVar[tuple[str, ...]] = ("num_heads", "sr_ratio")

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """A stride of 1 or 2."""
        ratio = min(pick.number("sr_ratio"), MOST_STRIDE)
        return Options({**heads_of(pick, shape), "sr_ratio": ratio})

    def mixer_cost(self, signature: Signature) -> Cost:
        """Projections of values, of weights, and 81 * patches * inner multiply-adds.

        Patches are the pixels, or about a quarter of them.
        """
        shape, pick = signature.shape, signature.pick
        n, width, heads = shape.pixels, shape.width, signature.kept.number("heads")
        inner, ratio = heads * pick.number("head_dim"), pick.number("sr_ratio")
        rows, columns = (halved(side, times=ratio - 1) for side in shape.size)
        patches = rows * columns
        cost = layers.layer_norm(n, width)
        if ratio > 1:
            cost += layers.pointwise(n, width, calls=2) + layers.pointwise(patches, width, calls=2)
            cost += Cost(quantizers=1)
        return (
            cost
            + layers.linear(n, width, inner)
            + layers.linear(patches, width, TAPS**2 * heads)
            + layers.pointwise(patches, TAPS**2 * heads, calls=2)
            + Cost(attention=TAPS**2 * patches * inner)
            + layers.pointwise(patches, TAPS * inner, calls=7, quantizers=2)
            + layers.pointwise(n, inner, calls=3)
            + layers.nodes(48, values=SIDE * sum(shape.size))
            + layers.linear(n, inner, width)
        )
