"""The contract of a calibration: the range of a value, from what it was on calibration images.

Values beyond the range are clipped to its ends; the wider it is, the coarser is the grid.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from search_spaces import Registry

BINS = 2048
"""Of a histogram: eight per step of the grid. TensorRT has as many."""

STEPS = 255
"""Of the grid of activations, from one end of the range to the other."""

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Histogram:
    """How often a value lay where.

    Attributes:
        low: Smallest entry, at most 0.
        high: Largest entry, at least 0, and above `low`.
        counts_B: Entries in each of B equal bins from `low` to `high`.
    """

    low: float
    high: float
    counts_B: Counts

    @cached_property
    def edges(self) -> Counts:
        """Of the bins, one more than there are bins."""
        return np.linspace(self.low, self.high, len(self.counts_B) + 1)

    @cached_property
    def centres_B(self) -> Counts:
        """Of the bins."""
        centres_B: Counts = (self.edges[1:] + self.edges[:-1]) / 2
        return centres_B


@dataclass(frozen=True)
class Seen:
    """What a value was on the calibration images.

    Attributes:
        lows: Smallest entry of each batch.
        highs: Largest entry of each batch.
        histogram: Of all entries; None where the calibration does not need it, or there is
            nothing to count because the value is always 0, or not finite, or as good as that.
    """

    lows: tuple[float, ...]
    highs: tuple[float, ...]
    histogram: Histogram | None = None

    @property
    def extremes(self) -> tuple[float, float]:
        """Smallest and largest entry of all, widened to 0."""
        return min(0.0, *self.lows), max(0.0, *self.highs)


class AbstractCalibration(ABC):
    """Decides the range of every value by itself. Plug-ins have no state."""

    needs_histogram: ClassVar[bool]
    """Whether the network looks at the calibration images a second time, to count values."""

    @abstractmethod
    def range(self, seen: Seen) -> tuple[float, float]:
        """Ends of the range: at most and at least 0, within the extremes.

        Args:
            seen: With a histogram if it needs one.
        """


CALIBRATIONS = Registry("compress.calibration", "calibration", AbstractCalibration)
