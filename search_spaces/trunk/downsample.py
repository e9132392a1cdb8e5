"""The usual downsampling: 3x3 convolution of stride 2, batch norm, ReLU6."""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.trunk._base import TRUNK, AbstractTrunk, Place


@final
@TRUNK.register
class Downsample(AbstractTrunk):
    """Halves the map, rounded up, and changes the width."""

    place: ClassVar[Place] = "downsample"

    def cost(self, signature: Signature) -> Cost:
        """One convolution."""
        shape = signature.shape
        return layers.conv(shape.pixels, shape.in_width, shape.width, 3) + layers.clamp()
