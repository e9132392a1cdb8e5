"""Batch norm and ReLU6.

Sources: Ioffe and Szegedy, Batch Normalization (2015), algorithm 1; Sandler et al., MobileNetV2
(2018), section 3.3.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._slot import Cost
from search_spaces.norms._base import NORMS, AbstractNorm


@final
@NORMS.register
class BatchNormReLU6(AbstractNorm):
    """Runtimes fold all of it into the convolution."""

    is_batch_norm: ClassVar[bool] = True
    has_batch_statistics: ClassVar[bool] = True

    def cost(self, n: int, width: int) -> Cost:
        """Parameters, and the clamp's node in a file."""
        return layers.batch_norm(width) + layers.clamp()
