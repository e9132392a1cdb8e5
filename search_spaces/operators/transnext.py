"""TransNeXt's token mixer: each position attends to its neighbours and to a pooled map at once.

Source: Shi, TransNeXt: Robust Foveal Visual Perception for Vision Transformers (2023), aggregated
attention: one softmax over 3x3 neighbours and the cells of a pooled map, whose logits are cosines
scaled by a temperature and the logarithm of the number of keys; a learnt embedding is added to
queries, and learnt tokens give neighbours weights besides. Without reduction there are no
neighbours apart, as in the paper's last stage. Departures: the number of heads is elastic at a
fixed head size, and a reduction is lowered as in `sra`; the network of the position bias has GELU
(`supernets/_pooled_bias.py`), and what it makes is stored in files. The paper's channel part is
`convglu`.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._attention import AbstractAttention, heads_of
from search_spaces.operators._base import OPERATORS
from search_spaces.operators.sra import dividing_ratio

KERNEL_SIZE = 3
"""Of the neighbourhood."""

HIDDEN = 512
"""Channels of the network that makes the position bias."""

SPREAD_NODES = 60
"""Of a file, from biases of offsets to those of pairs."""


@final
@OPERATORS.register
class TransNeXt(AbstractAttention):
    """Attention to neighbours and pooled cells together."""

    mixer_dims: ClassVar[tuple[str, ...]] = ("num_heads", "sr_ratio")

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """As in `sra`."""
        return Options(
            {
                **heads_of(pick, shape),
                "sr_ratio": dividing_ratio(pick.number("sr_ratio"), shape.size),
            }
        )

    def mixer_cost(self, signature: Signature) -> Cost:
        """Projections and attention: 2 * pixels * cells * inner and 3 * 9 * pixels * inner.

        The latter are logits, learnt weights and sums of neighbours. Parameters of the position
        bias are those of its network.
        """
        shape, pick = signature.shape, signature.pick
        n, width, ratio = shape.pixels, shape.width, pick.number("sr_ratio")
        heads = signature.kept.number("heads")
        inner, cells = heads * pick.number("head_dim"), n // ratio**2
        keys = cells if ratio == 1 else n + cells
        return (
            layers.layer_norm(n, width)
            + layers.linear(n, width, inner)
            + layers.linear(keys, width, 2 * inner)
            + Cost(attention=2 * n * cells * inner, elements=3 * n * cells * heads, calls=4)
            + Cost(params=heads + inner, vectors=heads + inner)
            + _position_bias(shape, ratio, heads)
            + layers.pointwise(n, inner, calls=6, quantizers=3)
            + layers.nodes(30)
            + (_with_neighbours(shape, inner, heads, cells) if ratio > 1 else Cost())
            + layers.linear(n, inner, width)
        )


def _with_neighbours(shape: Shape, inner: int, heads: int, cells: int) -> Cost:
    """What the pooled map and attention to neighbours cost beside global attention."""
    n, width, taps = shape.pixels, shape.width, KERNEL_SIZE**2
    learnt = taps * (inner + heads)
    return (
        layers.linear(n, width, width)
        + layers.pointwise(n, width, calls=3, quantizers=1)
        + layers.layer_norm(cells, width)
        + layers.neighbour_product(shape.size, inner, heads, KERNEL_SIZE)
        + layers.neighbour_sum(n, inner, KERNEL_SIZE)
        + Cost(attention=n * taps * inner, params=learnt, vectors=learnt, calls=1)
        + layers.pointwise(n, taps * heads, calls=6)
        + layers.pointwise(n, inner, calls=5)
        + layers.nodes(24, values=4 * n)
    )


def _position_bias(shape: Shape, ratio: int, heads: int) -> Cost:
    """The network's parameters; in a file, biases of all offsets."""
    rows, columns = (2 * side - ratio for side in shape.size)
    return Cost(
        params=3 * HIDDEN + heads * (HIDDEN + 1), vectors=heads * rows * columns
    ) + layers.nodes(SPREAD_NODES)
