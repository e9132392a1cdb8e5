"""The contract of a task's declaration: what networks answer, and how good answers are.

`supernets/tasks/` has the losses for training, under the same names. Two numbers judge a network,
both means over images: a loss, by which candidates are ranked, and a metric that people are shown.
There are three kinds: labels are numbers of classes (`_classes.py`), images (`_images.py`), or
masks (`_masks.py`). Shapes: N images, K outputs; an output may be an image.
"""

import math
import statistics
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal, final

import numpy as np

from search_spaces._registry import Registry

DEFAULT_TASK = "classification"
"""Of data sets and records that name none."""

Goal = Literal["minimize", "maximize"]

Answers = Literal["classes", "images", "masks"]
"""What networks give for an image: a number per output, an image, or a number per output at each of
its pixels."""


@final
@dataclass(frozen=True, kw_only=True)
class Metric:
    """A mean over images.

    Attributes:
        name: In records, and as an objective.
        title: For people.
        goal: Which direction is better.
        unit: Of what people read; "" for a plain number. "%" is for the share of images that are
            answered right: stored as a fraction, and to be maximised.
        decimals: That people read of what is no share; -1 for three digits, wherever they lie.
    """

    name: str
    title: str
    goal: Goal = "minimize"
    unit: str = ""
    decimals: int = -1

    @property
    def is_share(self) -> bool:
        """Whether an image is right (1) or wrong (0)."""
        return self.unit == "%"

    @property
    def factor(self) -> float:
        """What people read, in stored numbers."""
        return 100.0 if self.is_share else 1.0

    @property
    def best(self) -> float:
        """Of a network that answers all right; infinite where there is no end to getting better."""
        if self.is_share:
            return 1.0
        return math.inf if self.goal == "maximize" else 0.0

    @property
    def head(self) -> str:
        """Of a column of numbers: "accuracy %"."""
        return f"{self.title} {self.unit}".rstrip()

    @property
    def axis(self) -> str:
        """Of an axis or a group of columns, up to the unit: "Accuracy", "mIoU"."""
        is_abbreviated = self.title[1:2].isupper()
        return self.title if is_abbreviated else self.title[:1].upper() + self.title[1:]

    def number(self, value: float, digits: int = 1) -> str:
        """Without its unit: percent with so many decimals, others with their own."""
        if self.is_share:
            return f"{100 * value:.{digits}f}"
        return f"{value:.3g}" if self.decimals < 0 else f"{value:.{self.decimals}f}"

    def text(self, value: float, digits: int = 1) -> str:
        """With its unit: "93.1%", "0.42 levels"."""
        gap = "" if self.is_share or not self.unit else " "
        return f"{self.number(value, digits)}{gap}{self.unit}"

    def signed(self, value: float) -> float:
        """The value or its negative, so that lower is better."""
        return -value if self.goal == "maximize" else value

    def best_of(self, values: Iterable[float | None]) -> float | None:
        """The best one that is known; None if none is."""
        return min((v for v in values if v is not None), key=self.signed, default=None)


class AbstractTask(ABC):
    """What networks learn, without torch. Plug-ins have no state.

    They derive from `AbstractClassTask`, `AbstractImageTask` or `AbstractMaskTask`.
    """

    asks: ClassVar[Answers]
    """What networks must answer with."""

    loss: ClassVar[Metric]
    """Ranks candidates; positive, lower is better."""

    shown: ClassVar[Metric]
    """What people are shown beside it."""

    untaught: ClassVar[str]
    """What any network must beat that has learnt something, in words."""

    @abstractmethod
    def judge(self, outputs_NK: np.ndarray, labels_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both metrics of every image, float64, shape (N,) each: the loss, and what is shown.

        Args:
            outputs_NK: Floats as the network gives them.
            labels_N: Integers; or images.
        """

    @abstractmethod
    def answers(self, outputs_NK: np.ndarray) -> np.ndarray:
        """What the outputs say, integers (N,): networks agree where these are equal."""

    def confidences(self, outputs_NK: np.ndarray) -> np.ndarray | None:
        """How probable each answer is, float64, (N,); None where outputs do not say it."""
        return None

    def tally(self, outputs_NK: np.ndarray, labels_N: np.ndarray) -> np.ndarray | None:
        """Counts that add up over images, where more is said of a split than means; else None."""
        return None

    def said_of(self, tally: np.ndarray) -> dict[str, Any]:
        """What a record says of a split besides `record`, from the sum of its tallies."""
        return {}

    @abstractmethod
    def output_shape(self, labels: np.ndarray, num_outputs: int) -> tuple[int, ...]:
        """Of outputs for images with these labels.

        Args:
            labels: Of the images.
            num_outputs: Of the head, at each position where it answers at several.
        """

    @abstractmethod
    def untaught_in(
        self, record: Mapping[str, Any], *, num_classes: int, is_balanced: bool = False
    ) -> tuple[float, float] | None:
        """Both metrics of what must be beaten, from the record of a split; None if it is not known.

        Args:
            record: As cards have it.
            num_classes: Of the data.
            is_balanced: Whether classes count alike in the loss.
        """

    @final
    def metrics(
        self, outputs_NK: np.ndarray, labels_N: np.ndarray, *, is_balanced: bool = False
    ) -> dict[str, float]:
        """Both metrics over all images, by name.

        Args:
            outputs_NK: Floats as the network gives them.
            labels_N: Integers; or images.
            is_balanced: Whether the loss is the mean of those of classes, which count alike,
                instead of that of images.
        """
        return self.means(*self.judge(outputs_NK, labels_N), labels_N, is_balanced=is_balanced)

    @final
    def means(
        self,
        losses_N: np.ndarray,
        shown_N: np.ndarray,
        labels_N: np.ndarray,
        *,
        is_balanced: bool = False,
    ) -> dict[str, float]:
        """As `metrics`, from both metrics of every image.

        Args:
            losses_N: As `judge` gives them, like the next ones.
            shown_N: Of the same images.
            labels_N: Likewise.
            is_balanced: As of `metrics`.
        """
        loss = balanced_mean(losses_N, labels_N) if is_balanced else float(losses_N.mean())
        return {self.loss.name: loss, self.shown.name: float(shown_N.mean())}

    @final
    def record(
        self,
        losses: Sequence[float],
        shown: Sequence[float],
        *,
        balanced_by: Sequence[int] | None = None,
    ) -> dict[str, Any]:
        """What a card says of a split, from both metrics of its images.

        A share is a `fraction`, `correct` of `total`; another metric has its own name and the
        standard `deviation` over images. A loss whose classes count alike is `balanced`.

        Args:
            losses: One per image.
            shown: One per image.
            balanced_by: Labels of the images, if classes count alike in the loss.
        """
        total, name = len(losses), self.shown.name
        said: dict[str, Any] = {
            name: statistics.fmean(shown),
            "deviation": statistics.pstdev(shown),
        }
        if self.shown.is_share:
            correct = int(sum(shown))
            said = {"fraction": correct / total, "correct": correct}
        if balanced_by is None:
            return {**said, "total": total, self.loss.name: sum(losses) / total}
        loss = balanced_mean(np.array(losses), np.array(balanced_by))
        return {**said, "total": total, self.loss.name: loss, "balanced": True}

    @final
    def metrics_of(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Both metrics, by name, from what `record` made; None for what it lacks."""
        field = "fraction" if self.shown.is_share else self.shown.name
        return {
            self.loss.name: record.get(self.loss.name),
            self.shown.name: record.get(field),
        }

    @final
    def record_fields(self) -> dict[str, Any]:
        """Names and types of what `record` makes of every split: not all losses are `balanced`."""
        number = (int, float)
        said: dict[str, Any] = {self.shown.name: number, "deviation": number}
        if self.shown.is_share:
            said = {"fraction": number, "correct": int}
        return {**said, "total": int, self.loss.name: number}


def balanced_mean(values_N: np.ndarray, labels_N: np.ndarray) -> float:
    """The mean, over the classes that have images, of the means of their images.

    It is what training minimises where it weighs images so that classes count alike.
    """
    counts_K = np.bincount(labels_N)
    sums_K = np.bincount(labels_N, weights=values_N)
    has_images_K = counts_K > 0
    return float((sums_K[has_images_K] / counts_K[has_images_K]).mean())


TASKS = Registry("search_spaces.tasks", "task", AbstractTask)


@cache
def task_of(name: str) -> AbstractTask:
    """The declaration of a named task.

    Raises:
        UserError: If there is no such task.
    """
    found = TASKS.get(name)()
    assert isinstance(found, AbstractTask)
    return found


def task_in(document: Mapping[str, Any]) -> AbstractTask:
    """The task that a record names.

    Raises:
        UserError: If there is no such task.
    """
    return task_of(str(document.get("task", DEFAULT_TASK)))


def naming_task(task: str) -> dict[str, str]:
    """What a record says so that `task_in` finds the task."""
    return {} if task == DEFAULT_TASK else {"task": task}
