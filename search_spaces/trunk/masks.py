"""From the map of a decoder to a mask: 3x3 convolution, classifier of positions, upsampling.

The classifier is a 1x1 convolution; its numbers are brought to the size of the image by bilinear
interpolation, so that what is upsampled has as many channels as there are classes and boundaries
lie between positions.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.operators._base import Mixing
from search_spaces.trunk._base import TRUNK, AbstractTrunk, Place


@final
@TRUNK.register
class Masks(AbstractTrunk):
    """Logits at every pixel: `shape.size` is that of the image, `shape.width` the classes."""

    place: ClassVar[Place] = "masks"
    mixing: ClassVar[tuple[Mixing, ...]] = ()

    def cost(self, signature: Signature) -> Cost:
        """Two convolutions, and what brings the map to the size of the image."""
        shape = signature.shape
        return (
            layers.conv(shape.in_pixels, shape.in_width, shape.in_width, 3)
            + layers.clamp()
            + layers.plain_conv(shape.in_pixels, shape.in_width, shape.width, 1)
            + layers.enlarged(shape)
            + layers.nodes(0, values=layers.FILE_BYTES)
        )
