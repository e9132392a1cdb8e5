"""DHVT's channel part: an MLP with a depthwise convolution, whose outputs the whole map weighs.

Source: Lu et al., Bridging the Gap Between Vision Transformers and Convolutional Neural Networks on
Small Datasets (2022), dynamic aggregation feed-forward: pointwise convolution, depthwise 3x3
convolution with a shortcut, pointwise convolution, each with batch norm; a fourth of the channels'
means weighs every channel. Departures: weights are of the map instead of a class token, which our
networks have not, and are sigmoids, as in squeeze and excitation, so that a part that starts with
outputs of 0 learns; convolutions have no bias before batch norm; hidden channels as in `mlp`.
"""

from typing import final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.channel_parts._base import CHANNEL_PARTS, AbstractExpansion

KERNEL_SIZE = 3
REDUCTION = 4
"""Of the channels' means."""


@final
@CHANNEL_PARTS.register
class DAFF(AbstractExpansion):
    """Pointwise, depthwise with a shortcut, pointwise; then a gate per channel."""

    def cost(self, signature: Signature) -> Cost:
        """pixels * hidden * (2 * width + 9) multiply-adds, and 2 * width * width / 4."""
        n, width = signature.shape.pixels, signature.shape.width
        hidden, squeezed = signature.kept.number("hidden"), squeezed_channels(width)
        return (
            layers.layer_norm(n, width)
            + layers.conv(n, width, hidden, 1)
            + layers.depthwise(n, hidden, KERNEL_SIZE, has_norm=True)
            + layers.conv(n, hidden, width, 1)
            + layers.pointwise(n, hidden, calls=3, quantizers=2)
            + layers.linear(1, width, squeezed)
            + layers.linear(1, squeezed, width)
            + layers.pointwise(1, squeezed, calls=3, quantizers=2)
            + layers.pointwise(n, width, calls=3, quantizers=1)
            + layers.nodes(4)
        )


def squeezed_channels(width: int) -> int:
    """Of what the gates are made."""
    return -(-width // REDUCTION)
