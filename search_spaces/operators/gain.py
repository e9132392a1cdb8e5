"""A learnt factor per channel, 1 at first: what a column of a network keeps of the one before.

Source: Cai et al., Reversible Column Networks (2023), the scaling of the reversible addition.
Departures: factors may become 0, where the paper bounds them away from it.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractBlock, Mixing


@final
@OPERATORS.register
class Gain(AbstractBlock):
    """A factor per channel, and nothing else."""

    mixing: ClassVar[tuple[Mixing, ...]] = ()
    dims: ClassVar[tuple[str, ...]] = ()

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """There is nothing to be decided."""
        return Options()

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """None."""
        return {}

    def cost(self, signature: Signature) -> Cost:
        """One kernel without multiply-adds that count, in fp32 whatever the format."""
        shape = signature.shape
        own = layers.pointwise(shape.pixels, shape.width, quantizers=1) + layers.nodes(2)
        return own + Cost(params=shape.width, vectors=shape.width)
