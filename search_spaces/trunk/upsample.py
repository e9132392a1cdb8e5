"""A map of twice the sides: every value is repeated, two by two.

Source: Lin et al., Feature Pyramid Networks for Object Detection (2017), section 3: nearest
upsampling by 2 from one stage's map to that before it. A side that was odd before it was halved
loses what is too much at its end.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.operators._base import Mixing
from search_spaces.trunk._base import TRUNK, AbstractTrunk, Place


@final
@TRUNK.register
class Upsample(AbstractTrunk):
    """Keeps the width."""

    place: ClassVar[Place] = "upsample"
    mixing: ClassVar[tuple[Mixing, ...]] = ()

    def cost(self, signature: Signature) -> Cost:
        """A copy, and a second one where a side loses its end."""
        return layers.enlarged(signature.shape) + Cost(quantizers=1)
