"""Batch norm and hard swish, x * min(max(x + 3, 0), 6) / 6.

Source: Howard et al., Searching for MobileNetV3 (2019), section 5.2.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._slot import Cost
from search_spaces.norms._base import NORMS, AbstractNorm


@final
@NORMS.register
class BatchNormHardSwish(AbstractNorm):
    """The batch norm folds; the activation stays, and computes in fp32 whatever the format."""

    is_batch_norm: ClassVar[bool] = True
    has_batch_statistics: ClassVar[bool] = True

    def cost(self, n: int, width: int) -> Cost:
        """Two kernels: the gate and the product."""
        own = Cost(elements=2 * n * width, calls=2, quantizers=1) + layers.nodes(1)
        return layers.batch_norm(width) + own
