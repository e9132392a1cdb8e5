"""The range on whose grid values are distributed most as they were.

Source: Migacz, 8-bit Inference with TensorRT (GTC 2017), which describes the search for the
threshold with the least divergence of Kullback and Leibler from the distribution that is clipped at
it. Departures: the grid is that of unsigned activations, and so ends where values do instead of at
minus the threshold; every eighth bin is tried as a threshold; and zero, which is on every grid and
is what a ReLU makes most of, is not counted.
"""

from typing import ClassVar, final

import numpy as np

from compress.calibration._base import CALIBRATIONS, STEPS, AbstractCalibration, Counts, Seen

EVERY = 8
"""Bins from one threshold to the next."""

LEAST = 1e-6
"""Probability of what the grid's distribution has nothing of, so that the divergence is finite."""


@final
@CALIBRATIONS.register
class Entropy(AbstractCalibration):
    """The range with the least divergence between values before and after the grid."""

    needs_histogram: ClassVar[bool] = True

    def range(self, seen: Seen) -> tuple[float, float]:
        """See `AbstractCalibration.range`."""
        histogram = seen.histogram
        assert histogram is not None
        edges, bins = histogram.edges, len(histogram.counts_B)
        zero = min(bins - 1, int(np.searchsorted(edges, 0.0, side="right")) - 1)
        counts_B = np.where(np.arange(bins) == zero, 0.0, histogram.counts_B)
        furthest = max(zero, bins - zero)
        reaches = [*range((STEPS + 1) // 2, furthest, EVERY), furthest]
        windows = [(max(0, zero - reach), min(bins, zero + reach)) for reach in reaches]
        windows = [(first, last) for first, last in windows if last - first > STEPS]
        first, last = min(windows, key=lambda window: _divergence(counts_B, *window))
        return min(0.0, float(edges[first])), max(0.0, float(edges[last]))


def _divergence(counts_B: Counts, first: int, last: int) -> float:
    """Of the grid's distribution in these bins from that of all values, clipped to them."""
    inside = counts_B[first:last]
    clipped = inside.copy()
    clipped[0] += counts_B[:first].sum()
    clipped[-1] += counts_B[last:].sum()
    step = np.arange(last - first) * (STEPS + 1) // (last - first)
    filled = inside > 0
    mass = np.bincount(step, inside, STEPS + 1)
    bins = np.bincount(step, filled, STEPS + 1)
    spread = np.where(filled, (mass / np.maximum(bins, 1))[step], 0.0)
    p = clipped / clipped.sum()
    q = np.maximum(spread / max(spread.sum(), 1.0), LEAST)
    there = p > 0
    return float((p[there] * np.log(p[there] / q[there])).sum())
