"""The usual head: 3x3 convolution, batch norm, ReLU6, global average, layer norm, classifier."""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.operators._base import Mixing
from search_spaces.trunk._base import TRUNK, AbstractTrunk, Place


@final
@TRUNK.register
class Head(AbstractTrunk):
    """From the last map to logits: `shape.size` is (1, 1), `shape.width` the classes."""

    place: ClassVar[Place] = "head"
    mixing: ClassVar[tuple[Mixing, ...]] = ()

    def cost(self, signature: Signature) -> Cost:
        """A convolution of the map, and a linear layer."""
        shape = signature.shape
        return (
            layers.conv(shape.in_pixels, shape.in_width, shape.in_width, 3)
            + layers.clamp()
            + layers.averaged(shape.in_width)
            + layers.linear(1, shape.in_width, shape.width)
        )
