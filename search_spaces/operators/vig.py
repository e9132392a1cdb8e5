"""ViG's token mixer: gated linear attention in both directions, and local details beside it.

Source: Liao et al., ViG: Linear-complexity Visual Sequence Learning with Gated Linear Attention
(2024): a depthwise 3x3 convolution, of which queries, keys and values are made, and for each
direction logarithms of decays; what both directions read, and local details, are normed per head
and mixed by a gate. Departures: heads have a fixed size and any number of them, so local details
are the values, which are linear in the convolution's features, instead of these; keys have half as
many channels as values in every member; norms are layer norms instead of root mean squares; all
linear layers have biases.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._scans import gated_linear_attention
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._attention import AbstractAttention, heads_of
from search_spaces.operators._base import OPERATORS, Mixing

KERNEL_SIZE = 3

GATE_RANK = 16
"""Channels that decays are made of."""

GATE_TEMPERATURE = 16
"""What logarithms of decays are divided by: fresh weights keep nearly all of a state."""

DIRECTIONS = 2


@final
@OPERATORS.register
class ViG(AbstractAttention):
    """Linear attention whose states decay by what tokens say, forward and backward."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution", "attention")

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Adds the channels of a head's values and keys."""
        return Options({**heads_of(pick, shape), "key_dim": -(-shape.head_dim // 2)})

    def mixer_cost(self, signature: Signature) -> Cost:
        """Layers, and two scans of so many heads: linear in pixels."""
        pick, width, n = signature.pick, signature.shape.width, signature.shape.pixels
        heads = signature.kept.number("heads")
        key_dim, head_dim = pick.number("key_dim"), pick.number("head_dim")
        keys, values = heads * key_dim, heads * head_dim
        return (
            layers.layer_norm(n, width)
            + layers.depthwise(n, width, KERNEL_SIZE, has_norm=False)
            + layers.linear(n, width, 2 * keys + values)
            + layers.linear(n, width, GATE_RANK)
            + layers.linear(n, GATE_RANK, DIRECTIONS * keys)
            + layers.linear(n, width, values)
            + gated_linear_attention(n, DIRECTIONS * heads, key_dim, head_dim)
            + _per_head_norm(n, heads, head_dim)
            + _per_head_norm(n, heads, head_dim)
            + layers.pointwise(n, width, calls=4, quantizers=2)
            + layers.pointwise(n, values, calls=12, quantizers=1)
            + layers.pointwise(n, keys, calls=10)
            + layers.nodes(54)
            + layers.linear(n, values, width)
        )


def _per_head_norm(n: int, heads: int, head_dim: int) -> Cost:
    """One layer norm for all heads."""
    return layers.layer_norm(n * heads, head_dim)
