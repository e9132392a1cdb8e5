"""The usual stem: one convolution, batch norm, ReLU6."""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.trunk._base import TRUNK, AbstractTrunk, Place


def stem_kernel_size(stride: int) -> int:
    """7 for stride 4, else 3."""
    return max(3, 2 * stride - 1)


@final
@TRUNK.register
class Stem(AbstractTrunk):
    """A convolution of stride 1, 2 or 4."""

    place: ClassVar[Place] = "stem"
    dims: ClassVar[tuple[str, ...]] = ("stride",)

    def cost(self, signature: Signature) -> Cost:
        """One convolution."""
        shape, kernel_size = signature.shape, stem_kernel_size(signature.pick.number("stride"))
        own = layers.conv(shape.pixels, shape.in_width, shape.width, kernel_size)
        return own + layers.clamp() + Cost(quantizers=1)
