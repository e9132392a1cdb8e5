"""A calibration: so many deviations around the mean."""

from typing import ClassVar, final

import numpy as np

from compress.calibration import CALIBRATIONS, AbstractCalibration, Seen

DEVIATIONS = 8.0


@final
@CALIBRATIONS.register
class Deviations(AbstractCalibration):
    """Eight deviations to either side of the mean, and no further than values go."""

    needs_histogram: ClassVar[bool] = True

    def range(self, seen: Seen) -> tuple[float, float]:
        assert seen.histogram is not None
        values_B, share_B = seen.histogram.centres_B, seen.histogram.counts_B
        share_B = share_B / share_B.sum()
        mean = values_B @ share_B
        reach = DEVIATIONS * np.sqrt((values_B - mean) ** 2 @ share_B)
        low, high = seen.extremes
        return min(0.0, max(low, mean - reach)), max(0.0, min(high, mean + reach))
