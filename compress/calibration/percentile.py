"""All but the rarest entries.

Source: Wu et al., Integer Quantization for Deep Learning Inference (2020), section 3.3, where
99.99 % is one of several shares. Departure: their ranges are symmetric; here half of what is
clipped may lie at either end, so that of what a ReLU makes only large entries are.
"""

from typing import ClassVar, final

import numpy as np

from compress.calibration._base import CALIBRATIONS, AbstractCalibration, Seen

CLIPPED = 1e-4
"""Share of the entries outside of the range, both ends together."""


@final
@CALIBRATIONS.register
class Percentile(AbstractCalibration):
    """The range that holds 99.99 % of the entries."""

    needs_histogram: ClassVar[bool] = True

    def range(self, seen: Seen) -> tuple[float, float]:
        """See `AbstractCalibration.range`."""
        assert seen.histogram is not None
        edges, counts_B = seen.histogram.edges, seen.histogram.counts_B
        rare = CLIPPED / 2 * counts_B.sum()
        first = np.searchsorted(counts_B.cumsum(), rare, side="right")
        last = np.searchsorted(counts_B[::-1].cumsum(), rare, side="right")
        return min(0.0, float(edges[first])), max(0.0, float(edges[-1 - last]))
