"""CFSR's channel part: an MLP whose hidden map is convolved by kernels that see edges.

Source: Wu et al., Transforming Image Super-Resolution: A ConvFormer-based Efficient Approach
(2024), the edge-preserving feed-forward network: linear layer, edge-preserving depthwise
convolution, GELU, linear layer. The convolution is trained as a sum: a free 3x3 kernel, and fixed
filters of gradients (Sobel's, both ways) and of second derivatives (Laplace's), each scaled by a
number per channel. In files they are one kernel. Departures: branches have no norms and no
convolutions of their own before the filters, and share one bias; scales begin at 0; the expansion
is elastic.
"""

from typing import final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.channel_parts._base import CHANNEL_PARTS, AbstractExpansion

KERNEL_SIZE = 3
NUM_FILTERS = 3
"""Of gradients along rows and columns, and of second derivatives."""


@final
@CHANNEL_PARTS.register
class Edge(AbstractExpansion):
    """Layer norm, linear, depthwise convolution that keeps edges, GELU, linear."""

    def cost(self, signature: Signature) -> Cost:
        """pixels * hidden * (2 * width + 9) multiply-adds; two copies of the hidden map."""
        n, width = signature.shape.pixels, signature.shape.width
        hidden = signature.kept.number("hidden")
        return (
            layers.layer_norm(n, width)
            + layers.linear(n, width, hidden)
            + layers.depthwise(n, hidden, KERNEL_SIZE, has_norm=False)
            + Cost(params=NUM_FILTERS * hidden)
            + layers.pointwise(n, hidden, calls=3, quantizers=2)
            + layers.linear(n, hidden, width)
        )
