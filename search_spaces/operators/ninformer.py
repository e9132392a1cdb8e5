"""NiNformer's gate: an MLP mixer inside of the block decides what of a linear layer passes.

Source: Abdullah and Aydin, NiNformer: A Network in Network Transformer with Token Mixing Generated
Gating Function (2024): a linear layer times what an MLP mixer makes of the same input, both
mixer's MLPs with twice as many hidden channels as the block has. Departures: hidden channels of
either MLP can be pruned; norms of mixer and channel part are two, where the authors' code has one.
The map's sides are part of the weights.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import HIDDEN_MULTIPLE, Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractMixer, Mixing

EXPANSION = 2
"""Hidden channels of both MLPs, in channels of the block."""

MLPS = ("tokens", "channels")
"""The mixer's, by what they mix; groups of hidden channels."""


@final
@OPERATORS.register
class NiNformer(AbstractMixer):
    """A linear layer, gated by an MLP across positions and one across channels."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("mixer",)
    mixer_dims: ClassVar[tuple[str, ...]] = ()

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Nothing is decided."""
        return Options({})

    def mixer_groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """Hidden channels of either MLP."""
        return {name: Group(EXPANSION * shape.width, HIDDEN_MULTIPLE) for name in MLPS}

    def mixer_cost(self, signature: Signature) -> Cost:
        """pixels * width * (width + twice the hidden channels of both MLPs) multiply-adds."""
        n, width = signature.shape.pixels, signature.shape.width
        tokens, channels = (signature.kept.number(name) for name in MLPS)
        return (
            layers.layer_norm(n, width)
            + layers.linear(n, width, width)
            + layers.layer_norm(n, width)
            + layers.linear(width, n, tokens)
            + layers.pointwise(width, tokens, quantizers=1)
            + layers.linear(width, tokens, n)
            + layers.layer_norm(n, width)
            + layers.linear(n, width, channels)
            + layers.pointwise(n, channels, quantizers=1)
            + layers.linear(n, channels, width)
            + layers.pointwise(n, width, calls=5, quantizers=3)
            + layers.nodes(2)
        )
