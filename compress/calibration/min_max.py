"""Mean extremes: what most batches reach.

Batch extremes are averaged instead of taken together, so that one unusual image does not widen a
range for all (Krishnamoorthi, Quantizing deep convolutional networks, 2018, section 3.1.3, uses a
moving average to the same end).
"""

from typing import ClassVar, final

from compress.calibration._base import CALIBRATIONS, AbstractCalibration, Seen


@final
@CALIBRATIONS.register
class MinMax(AbstractCalibration):
    """Means over batches of the smallest and of the largest entry."""

    needs_histogram: ClassVar[bool] = False

    def range(self, seen: Seen) -> tuple[float, float]:
        """See `AbstractCalibration.range`."""
        low, high = (sum(values) / len(values) for values in (seen.lows, seen.highs))
        return min(0.0, low), max(0.0, high)
