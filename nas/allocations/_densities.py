"""From shares of weights that remain to shares of channels that do.

Pruning of single weights says how dense every tensor is to be. Here both of its axes get shorter,
so that of each the root of the density remains. A choice decides about several tensors: of what it
decides remains the mean, larger tensors counting more.
"""

import numpy as np

from nas.allocations._base import Compressible


def rows_of_densities(network: Compressible, densities_LW: np.ndarray) -> np.ndarray:
    """The network with these densities, as near as options are: encodings, (L, C).

    Args:
        network: Its weights are meant.
        densities_LW: Shares that remain, one column for each of its weights.
    """
    removed_LS = np.zeros((len(densities_LW), len(network.sparsities)))
    for place, column in enumerate(network.sparsities):
        mine = [i for i, weight in enumerate(network.weights) if column in weight.columns]
        if not mine:
            continue
        sizes_W = np.array([np.prod(network.weights[i].shape) for i in mine], float)
        axes_W = np.array([network.weights[i].num_axes for i in mine])
        kept_LW = densities_LW[:, mine] ** (1.0 / axes_W)
        removed_LS[:, place] = 1.0 - kept_LW @ (sizes_W / sizes_W.sum())
    return network.pruned(removed_LS)
