"""At which exit images leave a network, and the threshold of confidence for a mean cost.

One threshold is that of all exits: an image leaves at the first one whose confidence, the largest
of its softmax, is above it, and at the last one otherwise. A higher threshold lets no image leave
earlier, so that the mean of costs that grow from exit to exit grows with it, and at 1 all images
leave at the last exit. A target is thus met by the highest threshold that keeps it.

Source: Han et al., Dynamic Perceiver for Efficient Visual Recognition (2023), budgeted inference.
Departure: one threshold instead of one per exit, of which many combinations have the same cost.

Shapes: N images, E exits, the last one among them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

MOST_TRIED = 1000
"""Thresholds; between neighbours at most a thousandth of all confidences lies."""

NEVER, ALWAYS = 1.0, 0.0
"""Thresholds at which no image leaves before the last exit, and at which all leave at the first:
no confidence is above 1, and all are above 0."""


@final
@dataclass(frozen=True)
class Leaving:
    """What exits say of images.

    Attributes:
        confidences_NE: The largest of the softmax of every exit, in (0, 1].
        is_right_NE: Whether its answer is the label.
    """

    confidences_NE: np.ndarray
    is_right_NE: np.ndarray

    @property
    def num_exits(self) -> int:
        """With the last one."""
        return int(self.confidences_NE.shape[1])

    def exits(self, threshold: float) -> np.ndarray:
        """The number of the exit at which each image leaves, from 0; (N,)."""
        is_sure_NE = self.confidences_NE > np.float32(threshold)
        is_sure_NE[:, -1] = True
        found_N: np.ndarray = is_sure_NE.argmax(1)
        return found_N

    def shares(self, threshold: float) -> list[float]:
        """Of the images, by exit."""
        counts_E = np.bincount(self.exits(threshold), minlength=self.num_exits)
        return [float(count) / len(self.confidences_NE) for count in counts_E]

    def mean_cost(self, threshold: float, costs: Sequence[float]) -> float:
        """Mean over images of what the exits cost at which they leave.

        Args:
            threshold: In [0, 1].
            costs: Up to each exit.
        """
        return float(np.dot(self.shares(threshold), costs))

    def accuracy(self, threshold: float) -> float:
        """Share of the images that are answered right where they leave."""
        places_N = self.exits(threshold)
        return float(self.is_right_NE[np.arange(len(places_N)), places_N].mean())

    def tried(self) -> list[float]:
        """Thresholds worth trying, rising, from `ALWAYS` to `NEVER`: between confidences."""
        confidences = np.unique(self.confidences_NE[:, :-1].astype(np.float32))
        if len(confidences) > MOST_TRIED:
            places = np.linspace(0, len(confidences) - 1, MOST_TRIED).round().astype(int)
            confidences = confidences[places]
        between = (confidences[1:] + confidences[:-1]) / np.float32(2)
        return [ALWAYS, *map(float, between), NEVER]

    def within(self, costs: Sequence[float], most: float) -> float | None:
        """The highest threshold whose mean cost is at most this; None if there is none.

        Args:
            costs: Up to each exit.
            most: Of their mean.
        """
        able = [t for t in self.tried() if self.mean_cost(t, costs) <= most]
        return max(able, default=None)

    def as_good(self) -> float:
        """The lowest threshold at which as many images are right as at the last exit."""
        wanted = self.accuracy(NEVER)
        return min(t for t in self.tried() if self.accuracy(t) >= wanted)
