"""An allocation: later parts lose more, in proportion to their place.

What a network sees first, all of it depends on; late layers are wide, and often know the same thing
twice.
"""

from typing import final

import numpy as np

from nas.allocations import ALLOCATIONS, AbstractAllocation, Compressible

LEVELS = 200


@final
@ALLOCATIONS.register
class Late(AbstractAllocation):
    """Nothing of the first part, and most of the last."""

    def allocate(self, network: Compressible) -> tuple[int, ...] | None:
        most_S = np.array([options.max() for options in network.sparsities.values()])
        place_S = np.linspace(0.0, 1.0, len(most_S))
        slopes_L = np.linspace(0.0, len(most_S), LEVELS)
        removed_LS = np.minimum(slopes_L[:, None] * place_S, 1.0) * most_S
        removed_LS[-1] = most_S
        return network.first_within(network.pruned(removed_LS))
