"""What a stage hands to a decoder: a 1x1 convolution to the decoder's width, and batch norm.

Source: Lin et al., Feature Pyramid Networks for Object Detection (2017), section 3: lateral
connections. Departure: batch norm behind the convolution, which becomes a part of it.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.operators._base import Mixing
from search_spaces.trunk._base import TRUNK, AbstractTrunk, Place


@final
@TRUNK.register
class Lateral(AbstractTrunk):
    """Keeps the map, and changes the width."""

    place: ClassVar[Place] = "lateral"
    mixing: ClassVar[tuple[Mixing, ...]] = ()

    def cost(self, signature: Signature) -> Cost:
        """One convolution."""
        shape = signature.shape
        return layers.conv(shape.pixels, shape.in_width, shape.width, 1)
