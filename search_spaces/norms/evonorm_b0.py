"""EvoNorm-B0: norm and activation in one formula, by the larger of two deviations.

    y = x / max(std over batch and positions, v * x + std over positions) * gamma + beta

Source: Liu et al., Evolving Normalization-Activation Layers (2020). Departure: v - 1 is learnt.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._slot import Cost
from search_spaces.norms._base import NORMS, AbstractNorm

MAPS, CALLS, NODES = 8, 12, 15
"""Whole maps that are written, kernels launched, and nodes in a file."""


@final
@NORMS.register
class EvoNormB0(AbstractNorm):
    """Every extracted network measures its variance anew; it does not fold."""

    is_batch_norm: ClassVar[bool] = False
    has_batch_statistics: ClassVar[bool] = True

    def cost(self, n: int, width: int) -> Cost:
        """Four vectors, v, gamma, beta and the deviation; all of it computes in fp32."""
        own = Cost(params=3 * width, vectors=4 * width, elements=MAPS * n * width, calls=CALLS)
        return own + Cost(quantizers=1) + layers.nodes(NODES)
