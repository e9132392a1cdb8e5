"""DHVT's attention: a token per head stands beside those of the map.

Source: Lu et al., Bridging the Gap Between Vision Transformers and Convolutional Neural Networks on
Small Datasets (2022), head-interacted attention: the mean feature of every head is mapped to a
token, with a norm, GELU and an embedding of the head; tokens of heads take part in attention, and
their mean is added. Departures: the number of heads is elastic at a fixed head size, as in
`window`, so features of heads are linear in the map's mean instead of parts of it, and the norm is
over a whole token; there is no class token, so the mean of heads is added to every position. The
paper's channel part is `daff`; its stem of several convolutions is nearest to `stem`.
"""

from typing import final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._attention import AbstractAttention, attended, heads_of
from search_spaces.operators._base import OPERATORS


@final
@OPERATORS.register
class DHVT(AbstractAttention):
    """Global attention of all positions and a token per head."""

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """The number of heads as it is."""
        return Options(heads_of(pick, shape))

    def mixer_cost(self, signature: Signature) -> Cost:
        """As plain attention of pixels + heads tokens, and what makes the tokens of heads."""
        shape, pick = signature.shape, signature.pick
        width, heads = shape.width, signature.kept.number("heads")
        head_dim = pick.number("head_dim")
        n, tokens, inner = shape.pixels, shape.pixels + heads, heads * head_dim
        embedding = heads * width
        return (
            layers.layer_norm(n, width)
            + layers.linear(1, width, inner)
            + layers.linear(heads, head_dim, width)
            + layers.layer_norm(heads, width)
            + Cost(params=embedding, vectors=embedding)
            + layers.pointwise(heads, width, calls=2, quantizers=3)
            + layers.linear(tokens, width, 3 * inner)
            + attended(tokens, tokens, heads, inner)
            + layers.pointwise(tokens, inner, calls=3, quantizers=2)
            + layers.linear(tokens, inner, width)
            + layers.pointwise(n, width, calls=3)
            + layers.nodes(22)
        )
