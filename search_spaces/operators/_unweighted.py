"""What operators without weights have in common: nothing can be decided or pruned."""

from typing import ClassVar

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import AbstractBlock, Mixing

POOL_SIDE = 3


class AbstractUnweighted(AbstractBlock):
    """A block that keeps its map, and reads no option."""

    dims: ClassVar[tuple[str, ...]] = ()

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """There is nothing to be decided."""
        return Options()

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """None."""
        return {}


class AbstractPooling(AbstractUnweighted):
    """Of 3x3 positions, at every position."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)

    def cost(self, signature: Signature) -> Cost:
        """One kernel without multiply-adds, in fp32 whatever the format."""
        shape = signature.shape
        return layers.pointwise(shape.pixels, shape.width, quantizers=1)
