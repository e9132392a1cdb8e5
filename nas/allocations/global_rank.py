"""All members of all groups in one ranking: the least important ones go, wherever they are.

Source: Liu et al., Learning Efficient Convolutional Networks through Network Slimming (2017),
section 3, for any criterion's scores. Departure: a group loses the share that the sparsity's
options have nearest to that of its members which are below the common threshold.
"""

from typing import final

import numpy as np

from nas.allocations._base import ALLOCATIONS, AbstractAllocation, Compressible

LEVELS = 400
"""Thresholds that are tried."""


@final
@ALLOCATIONS.register
class GlobalRank(AbstractAllocation):
    """By the criterion's scores as they are."""

    needs = frozenset({"importance"})

    def allocate(self, network: Compressible) -> tuple[int, ...] | None:
        """See `AbstractAllocation.allocate`."""
        scores = [network.importance[column] for column in network.sparsities]
        every_N = np.concatenate([*scores, np.zeros(1)])
        thresholds_L = np.quantile(every_N, np.linspace(0.0, 1.0, LEVELS))
        removed = [
            (score_N < thresholds_L[:, None]).sum(axis=1) / max(1, len(score_N))
            for score_N in scores
        ]
        removed_LS = np.stack(removed, axis=1) if removed else np.zeros((LEVELS, 0))
        return network.first_within(network.pruned(removed_LS))
