"""Upsampling of columns: a 1x1 convolution with batch norm, then every position four times.

Source: Cai et al., Reversible Column Networks (2023), what brings a higher level of the column
before to a lower one: a linear layer and the nearest neighbour. Departures: batch norm, which folds
into the convolution, where the paper has a layer norm in front of it.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.trunk._base import TRUNK, AbstractTrunk, Place


@final
@TRUNK.register
class UpsampleNearest(AbstractTrunk):
    """Doubles the map, less one where a side is odd, and changes the width."""

    place: ClassVar[Place] = "upsample"

    def cost(self, signature: Signature) -> Cost:
        """One convolution at the smaller map."""
        shape = signature.shape
        own = layers.conv(shape.in_pixels, shape.in_width, shape.width, 1)
        return own + layers.enlarged(shape) + Cost(quantizers=1)
