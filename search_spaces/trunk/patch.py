"""Patchify stem: a convolution over patches that do not overlap, and batch norm.

Source: Dosovitskiy et al., An Image is Worth 16x16 Words (2021), section 3.1; Liu et al., A ConvNet
for the 2020s (2022), section 2.2. Departures: batch norm, which folds, instead of layer norm or
none; patches are as large as the stem's stride; the map is padded at its lower right to whole ones.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.trunk._base import TRUNK, AbstractTrunk, Place


@final
@TRUNK.register
class Patch(AbstractTrunk):
    """Patches of 1, 2 or 4 px."""

    place: ClassVar[Place] = "stem"
    dims: ClassVar[tuple[str, ...]] = ("stride",)

    def cost(self, signature: Signature) -> Cost:
        """One convolution whose kernel is its stride."""
        shape = signature.shape
        side = signature.pick.number("stride")
        own = layers.conv(shape.pixels, shape.in_width, shape.width, side)
        return own + Cost(quantizers=1)
