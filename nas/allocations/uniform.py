"""The same share of every part: what every other way must beat."""

from typing import final

import numpy as np

from nas.allocations._base import ALLOCATIONS, AbstractAllocation, Compressible

LEVELS = 400
"""Shares that are tried."""


@final
@ALLOCATIONS.register
class Uniform(AbstractAllocation):
    """Parts whose options do not have the share take turns, so that the mean does."""

    def allocate(self, network: Compressible) -> tuple[int, ...] | None:
        """See `AbstractAllocation.allocate`."""
        return network.first_within(uniform_rows(network))


def uniform_rows(network: Compressible) -> np.ndarray:
    """From the network as it is to the one of which most is removed: (L, C)."""
    options = network.sparsities
    most = max((float(options_K.max()) for options_K in options.values()), default=0.0)
    wanted_L = np.linspace(0.0, most, LEVELS)
    removed_LS = np.zeros((LEVELS, len(options)))
    owed_L = np.zeros(LEVELS)
    for place, options_K in enumerate(options.values()):
        owed_L += wanted_L
        nearest_L = np.abs(owed_L[:, None] - options_K).argmin(axis=1)
        removed_LS[:, place] = options_K[nearest_L]
        owed_L = np.clip(owed_L - removed_LS[:, place], -most, most)
    return network.pruned(removed_LS)
