"""The contract of a training method."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from search_spaces import Registry

METHODS = Registry("supernets.methods", "training method")


LARGEST, SMALLEST, RANDOM = "largest", "smallest", "random"


class Lesson(NamedTuple):
    """What one member learns from one batch.

    Attributes:
        role: "largest", "smallest" or "random"; for logs.
        encoding: The member, by option indices.
        teacher_share: How much of its loss is distillation from the batch's first member; the rest
            is the labels'. 0 for the first member.
        weight: Factor of its loss.
    """

    role: str
    encoding: tuple[int, ...]
    teacher_share: float = 0.0
    weight: float = 1.0


class AbstractMethod(ABC):
    """Decides what each batch trains; a pure function of its number, so that resuming is exact."""

    @abstractmethod
    def plan(self, turn: int, rng: np.random.Generator) -> list[Lesson]:
        """The members to train on batch `turn`, in order; gradients add up.

        Args:
            turn: Number of the batch, from 0; a step of the optimizer takes one or several.
            rng: Belongs to this batch alone.
        """
