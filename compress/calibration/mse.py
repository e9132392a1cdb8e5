"""The range whose grid errs least.

Source: Nagel et al., A White Paper on Neural Network Quantization (2021), section 3.1, "MSE".
Departure: the error is that of a histogram's bins, and the two ends are searched for in turn.
"""

from typing import ClassVar, final

import numpy as np

from compress.calibration._base import CALIBRATIONS, STEPS, AbstractCalibration, Histogram, Seen

SHARES = np.linspace(1.0, 0.02, 99)
"""Of the extremes, tried as ends of the range."""

ROUNDS = 2


@final
@CALIBRATIONS.register
class Mse(AbstractCalibration):
    """The range with the least mean squared error of what was rounded and clipped."""

    needs_histogram: ClassVar[bool] = True

    def range(self, seen: Seen) -> tuple[float, float]:
        """See `AbstractCalibration.range`."""
        histogram = seen.histogram
        assert histogram is not None
        low, high = histogram.low, histogram.high
        lows_R, highs_R = low * SHARES, high * SHARES
        for _ in range(ROUNDS if low < 0.0 < high else 1):
            if high > 0.0:
                errors_R = _errors(histogram, np.full_like(highs_R, low), highs_R)
                high = float(highs_R[errors_R.argmin()])
            if low < 0.0:
                errors_R = _errors(histogram, lows_R, np.full_like(lows_R, high))
                low = float(lows_R[errors_R.argmin()])
        return low, high


def _errors(histogram: Histogram, lows_R: np.ndarray, highs_R: np.ndarray) -> np.ndarray:
    """Sums of squared errors on the grids of R ranges, whose zero is a step of the grid."""
    scale_R1 = (highs_R - lows_R)[:, None] / STEPS
    first_R1 = np.round(lows_R[:, None] / scale_R1)
    steps_RB = np.round(histogram.centres_B / scale_R1)
    np.clip(steps_RB, first_R1, first_R1 + STEPS, out=steps_RB)
    errors_R: np.ndarray = np.square(steps_RB * scale_R1 - histogram.centres_B) @ histogram.counts_B
    return errors_R
