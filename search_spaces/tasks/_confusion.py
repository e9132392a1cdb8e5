"""What a network takes classes for, in counts of images. Shapes: N images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

MOST_PAIRS = 100
"""Pairs of label and wrong answer that are kept, the most frequent ones: all of up to 10 classes.

So what a card says of a split grows with the number of classes, not with its square."""


@final
@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Counts of a split's images, by numbers of classes.

    Attributes:
        labels: Images of each class.
        answers: Images that are called each class.
        right: Images of each class that are called so.
        confused: (label, answer, images) of wrong answers, the most frequent first; at most
            `MOST_PAIRS`.
    """

    labels: tuple[int, ...]
    answers: tuple[int, ...]
    right: tuple[int, ...]
    confused: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, labels_N: np.ndarray, answers_N: np.ndarray, num_classes: int) -> "Confusion":
        """Of labels and answers, numbers of classes both."""
        is_wrong_N = labels_N != answers_N
        pairs_N = labels_N[is_wrong_N] * num_classes + answers_N[is_wrong_N]
        pairs, counts = np.unique(pairs_N, return_counts=True)
        most = np.lexsort((pairs, -counts))[:MOST_PAIRS]
        rows = zip(*np.divmod(pairs[most], num_classes), counts[most], strict=True)
        return cls(
            labels=counts_of(labels_N, num_classes),
            answers=counts_of(answers_N, num_classes),
            right=counts_of(labels_N[~is_wrong_N], num_classes),
            confused=tuple((int(label), int(answer), int(n)) for label, answer, n in rows),
        )

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "Confusion | None":
        """From a record that has `labels` and what `to_json` gave; None if it has not."""
        labels, kept = labels_in(record), record.get("confusion")
        if not labels or not isinstance(kept, Mapping):
            return None
        columns: list[Any] = [kept.get(name) for name in ("answers", "right", "confused")]
        answers, right, pairs = columns
        if not _are_counts(answers, len(labels)) or not _are_counts(right, len(labels)):
            return None
        if any(r > min(n, a) for r, n, a in zip(right, labels, answers, strict=True)):
            return None
        if not isinstance(pairs, list) or not all(_are_counts(pair, 3) for pair in pairs):
            return None
        if any(max(label, answer) >= len(labels) for label, answer, _ in pairs):
            return None
        return cls(
            labels=labels,
            answers=tuple(answers),
            right=tuple(right),
            confused=tuple((label, answer, n) for label, answer, n in pairs),
        )

    def to_json(self) -> dict[str, Any]:
        """All but the labels."""
        return {
            "answers": list(self.answers),
            "right": list(self.right),
            "confused": [list(pair) for pair in self.confused],
        }

    @property
    def recalls(self) -> dict[int, float]:
        """Of each class that has images, the share of them that are called so."""
        pairs = enumerate(zip(self.right, self.labels, strict=True))
        return {number: right / images for number, (right, images) in pairs if images}

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall: answers that do not depend on the image have 1 / classes."""
        return sum(self.recalls.values()) / len(self.recalls)

    @property
    def majority(self) -> int:
        """The class of the most images."""
        return self.labels.index(max(self.labels))


def counts_of(labels_N: np.ndarray, num_classes: int) -> tuple[int, ...]:
    """Images of each class."""
    return tuple(np.bincount(labels_N, minlength=num_classes).tolist())


def labels_in(record: Mapping[str, Any]) -> tuple[int, ...]:
    """Images of each class, if the record of a split has them; else ()."""
    labels = record.get("labels")
    if isinstance(labels, list) and _are_counts(labels, len(labels)) and sum(labels):
        return tuple(labels)
    return ()


def _are_counts(values: Any, number: int) -> bool:
    if not isinstance(values, Sequence) or len(values) != number:
        return False
    return all(isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in values)
