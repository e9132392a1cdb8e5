"""EvoNorm-S0: norm and activation in one formula, by statistics of each sample alone.

    y = x * sigmoid(v * x) / std(x over positions and the channels of a group) * gamma + beta

Source: Liu et al., Evolving Normalization-Activation Layers (2020). Departure: groups of 8 channels
instead of 32 groups, so that narrower and pruned members keep whole ones.
"""

import math
from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._slot import Cost
from search_spaces.norms._base import NORMS, AbstractNorm

GROUP_SIZE = 8

MAPS, CALLS, NODES = 7, 20, 23
"""Whole maps that are written, kernels launched, most of them on a number per channel, and nodes in
a file."""


def group_size(width: int) -> int:
    """Channels of a group: 8, or where 8 does not divide the width what divides both."""
    return math.gcd(width, GROUP_SIZE)


@final
@NORMS.register
class EvoNormS0(AbstractNorm):
    """No statistics of the batch, so nothing to measure anew, and nothing that folds."""

    is_batch_norm: ClassVar[bool] = False
    has_batch_statistics: ClassVar[bool] = False

    def cost(self, n: int, width: int) -> Cost:
        """Three vectors, v, gamma and beta; all of it computes in fp32 whatever the format."""
        values = Cost(params=3 * width, vectors=3 * width, elements=MAPS * n * width)
        return values + Cost(calls=CALLS, quantizers=1) + layers.nodes(NODES)
