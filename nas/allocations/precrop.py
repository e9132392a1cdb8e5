"""How many weights of each tensor matter by their paths says how many channels stay.

Sources: Structured Pruning is All You Need for Pruning CNNs at Initialization: ratios of layers
are what matters of pruning without data, and become numbers of channels. Tanaka et al., Pruning
Neural Networks without any Data by Iteratively Conserving Synaptic Flow (2020), for the scores.
Departures: the weights are trained ones; scores are taken once, not again after every round; from
densities to channels as `nas/allocations/_densities.py` says.
"""

from typing import final

import numpy as np

from nas.allocations._base import ALLOCATIONS, AbstractAllocation, Compressible
from nas.allocations._densities import rows_of_densities

LEVELS = 400
"""Thresholds that are tried."""


@final
@ALLOCATIONS.register
class PreCrop(AbstractAllocation):
    """Weights of all tensors in one ranking, by synaptic flow."""

    needs = frozenset({"scores"})

    def allocate(self, network: Compressible) -> tuple[int, ...] | None:
        """See `AbstractAllocation.allocate`."""
        every_N = np.concatenate([*(weight.scores for weight in network.weights), np.zeros(1)])
        thresholds_L = np.quantile(every_N, np.linspace(0.0, 1.0, LEVELS))
        found = [_density(weight.scores, thresholds_L) for weight in network.weights]
        densities_LW = np.stack(found, axis=1) if found else np.zeros((LEVELS, 0))
        return network.first_within(rows_of_densities(network, densities_LW))


def _density(scores_N: np.ndarray, thresholds_L: np.ndarray) -> np.ndarray:
    """Share of the scores that reach each threshold, (L,)."""
    below_L = np.searchsorted(np.sort(scores_N), thresholds_L)
    density_L: np.ndarray = 1.0 - below_L / len(scores_N)
    return density_L
