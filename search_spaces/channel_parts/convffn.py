"""MSVMamba's channel part: an MLP whose hidden channels also see their neighbourhood.

Source: Shi et al., Multi-Scale VMamba: Hierarchy in Hierarchy Visual State Space Model (2024),
section 4.3: linear layer, depthwise 3x3 convolution with a shortcut, GELU, linear layer. Departure:
the expansion, 2 in the paper, is elastic.
"""

from typing import final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.channel_parts._base import CHANNEL_PARTS, AbstractExpansion

KERNEL_SIZE = 3


@final
@CHANNEL_PARTS.register
class ConvFFN(AbstractExpansion):
    """Layer norm, linear, depthwise convolution with a shortcut, GELU, linear."""

    def cost(self, signature: Signature) -> Cost:
        """pixels * hidden * (2 * width + 9) multiply-adds; two copies of the hidden map."""
        n, width = signature.shape.pixels, signature.shape.width
        hidden = signature.kept.number("hidden")
        return (
            layers.layer_norm(n, width)
            + layers.linear(n, width, hidden)
            + layers.depthwise(n, hidden, KERNEL_SIZE, has_norm=False)
            + layers.pointwise(n, hidden, calls=4, quantizers=2)
            + layers.linear(n, hidden, width)
        )
