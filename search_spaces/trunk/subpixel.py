"""A head that gives an image: a convolution's channels become pixels between positions.

Source: Shi et al., Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
Convolutional Neural Network (2016), section 3: all layers work on the small image, the last one
gives scale ** 2 numbers at each position for each channel of the answer, and these are its pixels
there. Departures: in networks that answer with images the head reads the small image, too, side by
side with the last map; its first weights pass every pixel on to its scale ** 2 places and nothing
else (nearest upsampling), so that blocks learn what is missing.
"""

from math import isqrt
from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.operators._base import Mixing
from search_spaces.trunk._base import TRUNK, AbstractTrunk, Place

KERNEL_SIZE = 3


@final
@TRUNK.register
class Subpixel(AbstractTrunk):
    """A 3x3 convolution, whose outputs are pixels: depth to space."""

    place: ClassVar[Place] = "head"
    gives_images: ClassVar[bool] = True
    mixing: ClassVar[tuple[Mixing, ...]] = ()

    def cost(self, signature: Signature) -> Cost:
        """A convolution with a bias, and one copy."""
        shape = signature.shape
        own = layers.plain_conv(shape.in_pixels, shape.in_width, shape.width, KERNEL_SIZE)
        # Patterns are of layers that are trained as they are deployed.
        own = own._replace(grouped=0, grouped_macs=0)
        return (
            own
            + layers.pointwise(shape.in_pixels, shape.width, quantizers=1)
            + layers.nodes(0, values=layers.FILE_BYTES)
        )


def scale_of(num_outputs: int) -> tuple[int, int]:
    """By how much longer sides become, and channels, of so many outputs at each position.

    The largest square that divides them is that of the scale: 12 are 2 x 2 pixels of RGB.
    """
    scale = max(n for n in range(1, isqrt(num_outputs) + 1) if num_outputs % n**2 == 0)
    return scale, num_outputs // scale**2
