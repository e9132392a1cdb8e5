"""Attention that begins as a convolution and may leave it.

Source: d'Ascoli et al., ConViT: Improving Vision Transformers with Soft Convolutional Inductive
Biases (2021), section 3: a head attends by content and by position, and a learnt gate weighs both;
by position it begins at one offset of a small grid, one head per offset. Departures: offsets are
taken from the middle outwards, so that any number of heads is a part of a larger one and 9 heads
are a 3x3 grid; weights by position are a product of one along each side, which is the same; values
begin at random, not as the identity; queries, keys and values have biases.
"""

from typing import final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._attention import AbstractAttention, heads_of
from search_spaces.operators._base import OPERATORS


@final
@OPERATORS.register
class ConViT(AbstractAttention):
    """Gated positional self-attention."""

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Heads as they are asked for."""
        return Options(heads_of(pick, shape))

    def mixer_cost(self, signature: Signature) -> Cost:
        """Projections and 2 * pixels ** 2 * inner multiply-adds, four numbers per head."""
        shape, pick = signature.shape, signature.pick
        n, width, heads = shape.pixels, shape.width, signature.kept.number("heads")
        inner = heads * pick.number("head_dim")
        return (
            layers.layer_norm(n, width)
            + layers.linear(n, width, 3 * inner)
            + Cost(attention=2 * n**2 * inner, elements=4 * n**2 * heads, calls=5)
            + Cost(params=4 * heads, vectors=4 * heads)
            + layers.pointwise(n, inner, calls=5, quantizers=2)
            + layers.nodes(42, values=4 * sum(shape.size))
            + layers.linear(n, inner, width)
        )
