"""Attention whose queries, keys and values are made by convolutions.

Source: Wu et al., CvT: Introducing Convolutions to Vision Transformers (2021), section 3.2: a 3x3
depthwise convolution and batch norm precede each of the three projections; those of keys and values
may have a stride. No positions are encoded. Departures: heads are elastic, of a fixed size, whose
root divides logits, where the authors' code takes the width's; the stride is `sr_ratio`, lowered
where a side would have a single key; no class token.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._sides import Sides
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._attention import AbstractAttention, attended, heads_of
from search_spaces.operators._base import OPERATORS

KERNEL_SIZE = 3
"""Of the convolutions before the projections."""


@final
@OPERATORS.register
class CvT(AbstractAttention):
    """Multi-head attention with convolutional projections."""

    mixer_dims: ClassVar[tuple[str, ...]] = ("num_heads", "sr_ratio")

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """The largest stride up to the one asked for that leaves two keys along each side."""
        ratio = max(1, min(pick.number("sr_ratio"), min(shape.size) - 1))
        return Options({**heads_of(pick, shape), "sr_ratio": ratio})

    def mixer_cost(self, signature: Signature) -> Cost:
        """Convolutions, projections and 2 * pixels * keys * inner multiply-adds."""
        shape, pick = signature.shape, signature.pick
        n, width, heads = shape.pixels, shape.width, signature.kept.number("heads")
        rows, columns = reduced(shape.size, pick.number("sr_ratio"))
        inner, keys = heads * pick.number("head_dim"), rows * columns
        cost = layers.layer_norm(n, width) + layers.pointwise(n, width, calls=1, quantizers=1)
        for tokens in (n, keys, keys):
            cost += layers.depthwise(tokens, width, KERNEL_SIZE, has_norm=True)
            cost += layers.pointwise(tokens, width) + layers.linear(tokens, width, inner)
            cost += layers.pointwise(tokens, inner)
        return (
            cost
            + attended(n, keys, heads, inner)
            + layers.pointwise(n, inner, calls=2, quantizers=1)
            + layers.nodes(12)
            + layers.linear(n, inner, width)
        )


def reduced(size: Sides, ratio: int) -> Sides:
    """Height and width of a map behind a convolution of this stride."""
    rows, columns = (-(-side // ratio) for side in size)
    return rows, columns
