"""Tasks whose labels are numbers of classes: one whole number per image. Shapes: N images."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np

from search_spaces.tasks._base import AbstractTask, Answers
from search_spaces.tasks._confusion import Confusion, counts_of, labels_in


class AbstractClassTask(AbstractTask):
    """What networks answer about images of classes. Labels index a data set's `classes`."""

    asks: ClassVar[Answers] = "classes"
    untaught: ClassVar[str] = "guessing"

    answers_are_classes: ClassVar[bool] = False
    """Whether an answer is the number of a class, as a label is: what is confused is then kept."""

    @abstractmethod
    def num_outputs(self, num_classes: int) -> int:
        """Outputs of the head for data of so many classes."""

    @abstractmethod
    def guessing(self, labels: Sequence[int]) -> tuple[float, float]:
        """Both metrics of the best outputs that are the same for all images.

        Args:
            labels: Images of each class; at least one image.
        """

    @final
    def guessed(self, labels: Sequence[int], *, is_balanced: bool) -> tuple[float, float]:
        """As `guessing`, the loss as `metrics` has it."""
        loss, shown = self.guessing(labels)
        if is_balanced:
            loss, _ = self.guessing([int(images > 0) for images in labels])
        return loss, shown

    @final
    def counts(
        self, labels_N: np.ndarray, answers_N: np.ndarray, num_classes: int
    ) -> dict[str, Any]:
        """What a card says of a split besides its metrics: images of each class, and what is taken
        for what if answers are classes.
        """
        said: dict[str, Any] = {"labels": list(counts_of(labels_N, num_classes))}
        if self.answers_are_classes:
            said["confusion"] = Confusion.of(labels_N, answers_N, num_classes).to_json()
        return said

    @final
    def output_shape(self, labels: np.ndarray, num_outputs: int) -> tuple[int, ...]:
        """A number per output."""
        return len(labels), num_outputs

    @final
    def untaught_in(
        self, record: Mapping[str, Any], *, num_classes: int, is_balanced: bool = False
    ) -> tuple[float, float] | None:
        """Those of guessing; classes are equally frequent where the record does not count them."""
        labels = labels_in(record) or (1,) * num_classes
        return self.guessed(labels, is_balanced=is_balanced) if labels else None
