"""Attention that decays with the Manhattan distance.

Source: Fan et al., RMT: Retentive Networks Meet Vision Transformers (2024), section 3: the weight
of a position is multiplied by decay ** distance, with a decay per head; along rows and then along
columns, or over the whole map at once; a 5x5 depthwise convolution of the values is added.
Departures: as in the authors' code, weights are normalised after they are multiplied, not before;
unlike there, queries and keys are not rotated; which form is an option instead of the stage's; a
head keeps its decay however many others remain; no position convolution before the block and none
inside of the channel part.
"""

from collections.abc import Mapping
from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Option, Options
from search_spaces._registry import Registry
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._attention import AbstractAttention, heads_of
from search_spaces.operators._base import OPERATORS

EXTENT = "extent"
AXIAL, FULL = "axial", "full"
"""To a row's positions and then to a column's, or to those of the whole map."""

LOCAL_KERNEL_SIZE = 5
"""Of the convolution of the values."""


@final
@OPERATORS.register
class RMT(AbstractAttention):
    """Manhattan self-attention, axial or full."""

    mixer_dims: ClassVar[tuple[str, ...]] = ("num_heads", EXTENT)
    defaults: ClassVar[Mapping[str, Option]] = {EXTENT: AXIAL}
    words: ClassVar[Mapping[str, tuple[str, ...] | Registry]] = {EXTENT: (AXIAL, FULL)}

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Heads and form as they are asked for."""
        return Options({**heads_of(pick, shape), EXTENT: pick[EXTENT]})

    def mixer_cost(self, signature: Signature) -> Cost:
        """Projections, 25 * pixels * inner, and 2 * pixels * keys * inner multiply-adds.

        Keys are a row's and a column's positions, or all.
        """
        shape, pick = signature.shape, signature.pick
        n, width, heads = shape.pixels, shape.width, signature.kept.number("heads")
        inner, is_full = heads * pick.number("head_dim"), pick[EXTENT] == FULL
        keys = n if is_full else sum(shape.size)
        times = 1 if is_full else 2
        return (
            layers.layer_norm(n, width)
            + layers.linear(n, width, 3 * inner)
            + Cost(attention=2 * n * keys * inner, elements=3 * n * keys * heads, calls=4 * times)
            + Cost(vectors=heads)
            + layers.depthwise(n, inner, LOCAL_KERNEL_SIZE, has_norm=False)
            + layers.pointwise(n, inner, calls=5 + 3 * times, quantizers=3)
            + layers.nodes(36 if is_full else 28, values=4 * sum(shape.size))
            + layers.linear(n, inner, width)
        )
