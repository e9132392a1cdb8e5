"""A head without a convolution: ReLU, global average, layer norm, classifier.

Source: He et al., Identity Mappings in Deep Residual Networks (2016), appendix: an activation ends
the stream of shortcuts, and its average is classified. Departure: layer norm of the averages
instead of batch norm before the activation, as in the usual head.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.operators._base import Mixing
from search_spaces.trunk._base import TRUNK, AbstractTrunk, Place


@final
@TRUNK.register
class Pooled(AbstractTrunk):
    """From the last map to logits: `shape.size` is (1, 1), `shape.width` the classes."""

    place: ClassVar[Place] = "head"
    mixing: ClassVar[tuple[Mixing, ...]] = ()

    def cost(self, signature: Signature) -> Cost:
        """A linear layer, and what makes its input."""
        shape = signature.shape
        return (
            layers.pointwise(shape.in_pixels, shape.in_width)
            + layers.averaged(shape.in_width)
            + layers.linear(1, shape.in_width, shape.width)
        )
