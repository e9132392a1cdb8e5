"""The contract of a training method."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from search_spaces import Registry

METHODS = Registry("supernets.methods", "training method")


class Lesson(NamedTuple):
    """One member's part of a step.

    Attributes:
        encoding: The member, by option indices.
        teacher_share: How much of its loss is distillation from the step's first member; the rest
            is the labels'. 0 for the first member.
        weight: Factor of its loss.
    """

    encoding: tuple[int, ...]
    teacher_share: float
    weight: float


class AbstractMethod(ABC):
    """Decides what each step trains; a pure function of the step, so that resuming is exact."""

    @abstractmethod
    def plan(self, step: int, rng: np.random.Generator) -> list[Lesson]:
        """The members to train in step `step`, in order; gradients add up.

        Args:
            step: From 0.
            rng: Belongs to this step alone.
        """

    @abstractmethod
    def operator_counts(self, steps: int) -> dict[str, dict[str, dict[str, int]]]:
        """How often each operator of each slot was part of the teacher and of its students.

        Returns:
            {"stage1.block1": {"teacher": {"mbconv": 10, ...}, "student": {...}}, ...}
        """
