"""Larger tensors are thinned out more: the ratios of Erdos-Renyi kernels.

Source: Liu et al., The Unreasonable Effectiveness of Random Pruning (2022): a tensor's density is
proportional to (inputs + outputs + sides of the kernel) / (their product), at most 1. Departure:
channels go instead of single weights (`nas/allocations/_densities.py`).
"""

from typing import final

import numpy as np

from nas.allocations._base import ALLOCATIONS, AbstractAllocation, Compressible
from nas.allocations._densities import rows_of_densities

LEVELS = 400
"""Factors of proportion that are tried."""

SPARSEST = 1e-4
"""Density of the densest tensor at the last of them."""


@final
@ALLOCATIONS.register
class ERK(AbstractAllocation):
    """By shapes alone."""

    def allocate(self, network: Compressible) -> tuple[int, ...] | None:
        """See `AbstractAllocation.allocate`."""
        shapes = [weight.shape for weight in network.weights]
        ratio_W = np.array([sum(shape) / np.prod(shape) for shape in shapes], float)
        if not len(ratio_W):
            return network.first_within(np.array([network.base]))
        factors_L = np.geomspace(1.0 / ratio_W.min(), SPARSEST / ratio_W.max(), LEVELS)
        densities_LW = np.minimum(1.0, factors_L[:, None] * ratio_W)
        densities_LW[0] = 1.0
        return network.first_within(rows_of_densities(network, densities_LW))
