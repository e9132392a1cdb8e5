"""Convolutional GLU: every hidden channel is gated by what its neighbourhood says.

Source: Shi, TransNeXt: Robust Foveal Visual Perception for Vision Transformers (2023):
(GELU(DWConv3x3(x W1)) * (x W2)) W3 behind a layer norm, with two thirds of the hidden channels of
an MLP. Departures: W1 and W2 are two matrices instead of the halves of one, which computes the
same; hidden channels are a multiple of 8.
"""

from typing import final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import HIDDEN_MULTIPLE, Cost, Group, Shape, Signature
from search_spaces.channel_parts._base import CHANNEL_PARTS, AbstractChannelPart

KERNEL_SIZE = 3


@final
@CHANNEL_PARTS.register
class ConvGLU(AbstractChannelPart):
    """A gate with a depthwise 3x3 convolution times a linear layer, then a linear layer."""

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """Hidden channels: each is one of the gate and one of what is gated."""
        hidden = gated_channels(pick.number("expand_ratio"), shape.width)
        return {"hidden": Group(hidden, HIDDEN_MULTIPLE)}

    def cost(self, signature: Signature) -> Cost:
        """pixels * hidden * (3 * width + 9) multiply-adds; two copies change the gate's layout."""
        n, width = signature.shape.pixels, signature.shape.width
        hidden = signature.kept.number("hidden")
        return (
            layers.layer_norm(n, width)
            + layers.linear(n, width, hidden)
            + layers.depthwise(n, hidden, KERNEL_SIZE, has_norm=False)
            + layers.linear(n, width, hidden)
            + layers.pointwise(n, hidden, calls=4, quantizers=2)
            + layers.linear(n, hidden, width)
        )


def gated_channels(expand_ratio: int, width: int) -> int:
    """Hidden channels of a gated part with as many parameters as an MLP of that expansion.

    Two thirds of the MLP's, to the nearest multiple of 8: there are three matrices instead of two.
    """
    wanted = 2 * expand_ratio * width / 3 / HIDDEN_MULTIPLE
    return max(1, int(wanted + 0.5)) * HIDDEN_MULTIPLE
