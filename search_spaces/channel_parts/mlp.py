"""The transformer's channel part: an MLP of one hidden layer with GELU, behind a layer norm.

Source: Dosovitskiy et al., An Image is Worth 16x16 Words (2021), equation 3.
"""

from typing import final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.channel_parts._base import CHANNEL_PARTS, AbstractExpansion


@final
@CHANNEL_PARTS.register
class MLP(AbstractExpansion):
    """Layer norm, linear, GELU, linear."""

    def cost(self, signature: Signature) -> Cost:
        """2 * pixels * width * hidden multiply-adds."""
        n, width = signature.shape.pixels, signature.shape.width
        hidden = signature.kept.number("hidden")
        return (
            layers.layer_norm(n, width)
            + layers.linear(n, width, hidden)
            + layers.pointwise(n, hidden, quantizers=2)
            + layers.linear(n, hidden, width)
        )
