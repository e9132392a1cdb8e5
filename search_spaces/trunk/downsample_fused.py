"""Downsampling behind a fused inverted residual with squeeze and excitation.

    y = conv3x3 of stride 2 (x + conv1x1(se(depthwise3x3(x))))

Source: Hatamizadeh et al., Global Context Vision Transformers (2023), section 3.2, the downsampler.
Departures: batch norm and ReLU6 behind the depthwise convolution instead of GELU, and batch norm
behind the others instead of layer norm before and after, so that all of it folds.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.channel_attentions.se import SE, squeezed_channels
from search_spaces.trunk._base import TRUNK, AbstractTrunk, Place


@final
@TRUNK.register
class DownsampleFused(AbstractTrunk):
    """Mixes channels at the larger map, then halves it, rounded up, and changes the width."""

    place: ClassVar[Place] = "downsample"

    def cost(self, signature: Signature) -> Cost:
        """A depthwise, a pointwise and a full convolution, and the gates."""
        shape = signature.shape
        n, width = shape.in_pixels, shape.in_width
        residual = layers.depthwise(n, width, 3, has_norm=True) + layers.clamp()
        residual += SE().cost(n, width, squeezed_channels(width)) + layers.conv(n, width, width, 1)
        residual += layers.pointwise(n, width, quantizers=1)
        return residual + layers.conv(shape.pixels, width, shape.width, 3)
