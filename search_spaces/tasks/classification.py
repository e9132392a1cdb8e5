"""One of several classes: the largest output is the answer. Shapes: N images, K classes."""

from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np

from search_spaces.tasks._base import TASKS, Metric
from search_spaces.tasks._classes import AbstractClassTask


@final
@TASKS.register
class Classification(AbstractClassTask):
    """One class per image; outputs are logits, one per class."""

    loss: ClassVar[Metric] = Metric(name="log_loss", title="log-loss", unit="nats")
    shown: ClassVar[Metric] = Metric(name="accuracy", title="accuracy", goal="maximize", unit="%")
    answers_are_classes: ClassVar[bool] = True

    def num_outputs(self, num_classes: int) -> int:
        """One per class."""
        return num_classes

    def judge(self, outputs_NK: np.ndarray, labels_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Negative log-likelihoods, natural logarithm, and 1.0 where the answer is the label."""
        shifted_NK = outputs_NK.astype(np.float64)
        shifted_NK -= shifted_NK.max(axis=1, keepdims=True)
        log_sums_N = np.log(np.exp(shifted_NK).sum(axis=1))
        losses_N = log_sums_N - shifted_NK[np.arange(len(labels_N)), labels_N]
        return losses_N, (self.answers(outputs_NK) == labels_N).astype(np.float64)

    def answers(self, outputs_NK: np.ndarray) -> np.ndarray:
        """The class of the largest logit."""
        answers_N: np.ndarray = outputs_NK.argmax(axis=1)
        return answers_N

    def confidences(self, outputs_NK: np.ndarray) -> np.ndarray:
        """The softmax of the largest logit."""
        outputs_NK = outputs_NK.astype(np.float64)
        apart_NK = outputs_NK - outputs_NK.max(axis=1, keepdims=True)
        found_N: np.ndarray = 1.0 / np.exp(apart_NK).sum(axis=1)
        return found_N

    def guessing(self, labels: Sequence[int]) -> tuple[float, float]:
        """Every class is as likely as it is frequent; the most frequent one is the answer."""
        shares = np.array(labels) / sum(labels)
        shares = shares[shares > 0]
        return float(-(shares * np.log(shares)).sum()), float(shares.max())
