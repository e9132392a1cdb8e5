"""Residual downsampling: two 3x3 convolutions, the first of stride 2, beside an averaged shortcut.

Source: He et al., Bag of Tricks for Image Classification with Convolutional Neural Networks (2019),
section 4.2: the shortcut of ResNet-D averages squares of 2x2 before its 1x1 convolution, so that no
position is left out. Departures: the branch is that of our basic block, with a stride; no
activation behind the sum, as there; at an odd border a square has the positions there are.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.trunk._base import TRUNK, AbstractTrunk, Place


@final
@TRUNK.register
class DownsampleResidual(AbstractTrunk):
    """Halves the map, rounded up, and changes the width, in a branch and in its shortcut."""

    place: ClassVar[Place] = "downsample"

    def cost(self, signature: Signature) -> Cost:
        """Three convolutions, an average and a sum."""
        shape = signature.shape
        n, in_width, width = shape.pixels, shape.in_width, shape.width
        branch = layers.conv(n, in_width, width, 3) + layers.clamp()
        branch += layers.conv(n, width, width, 3)
        shortcut = layers.pointwise(n, in_width, quantizers=1) + layers.conv(n, in_width, width, 1)
        return branch + shortcut + layers.pointwise(n, width, quantizers=1)
