"""Tasks whose labels are images, whatever their pixels mean: numbers of colour, or of classes.

What networks must beat does not follow from counts of images, so it is judged image by image, and a
record of a split says it. Shapes: N images, C channels, H W pixels.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, final

import numpy as np

from search_spaces.tasks._base import AbstractTask

Images = np.ndarray


class AbstractDenseTask(AbstractTask):
    """What networks answer with maps. Plug-ins derive from a kind of it: `AbstractImageTask`, or
    `AbstractMaskTask`.
    """

    @abstractmethod
    def untaught_metrics(self, seen_NCHW: Images, labels: Images) -> tuple[Images, Images]:
        """Both metrics of every image of what needs no learning, (N,) each.

        Args:
            seen_NCHW: uint8.
            labels: uint8, four axes.
        """

    @final
    def beside(self, shown_N: np.ndarray, untaught: tuple[Images, Images]) -> dict[str, Any]:
        """What a card says of a split besides its metrics: those of what needs no learning, and the
        deviation, over images, of what a network has more in the shown metric.

        Args:
            shown_N: The network's.
            untaught: As `untaught_metrics` gives them.
        """
        losses_N, untaught_N = untaught
        return {
            "untaught": {
                self.loss.name: float(losses_N.mean()),
                self.shown.name: float(untaught_N.mean()),
                "deviation": float((shown_N - untaught_N).std()),
            }
        }

    @final
    def untaught_in(
        self, record: Mapping[str, Any], *, num_classes: int, is_balanced: bool = False
    ) -> tuple[float, float] | None:
        """What `beside` has put there."""
        said = record.get("untaught")
        if not isinstance(said, Mapping):
            return None
        loss, shown = said.get(self.loss.name), said.get(self.shown.name)
        if not isinstance(loss, int | float) or not isinstance(shown, int | float):
            return None
        return float(loss), float(shown)
