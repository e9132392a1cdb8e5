"""What a trial is worth to controllers that learn from rewards: a front has no single one.

It is the share of earlier trials that it dominates less the share that dominates it: better than
many is what counts, whatever it costs.
"""

import numpy as np


def reward(losses_M: np.ndarray, earlier_NM: np.ndarray) -> float:
    """From -1, if all earlier trials are better, to 1; beyond a limit it is the least.

    Args:
        losses_M: Of the trial; NaN if it is beyond a limit.
        earlier_NM: Of those before it; NaN likewise.
    """
    if not np.isfinite(losses_M).all():
        return -1.0
    known_NM = earlier_NM[np.isfinite(earlier_NM).all(axis=1)]
    if len(known_NM) == 0:
        return 0.0
    is_better = (losses_M <= known_NM).all(axis=1) & (losses_M < known_NM).any(axis=1)
    is_worse = (known_NM <= losses_M).all(axis=1) & (known_NM < losses_M).any(axis=1)
    return float(is_better.mean() - is_worse.mean())
