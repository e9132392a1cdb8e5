"""Batches that are lists of members, taught by labels and by the batch's first one."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, final

import numpy as np

from supernets.methods._base import AbstractMethod

if TYPE_CHECKING:
    from torch import Tensor

    from supernets.context import Context
    from supernets.team import Losses

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


class AbstractLessons(AbstractMethod):
    """Decides what each batch trains, as a pure function of its number."""

    @abstractmethod
    def plan(self, turn: int, rng: np.random.Generator) -> list[Lesson]:
        """The members to train on batch `turn`, in order; gradients add up.

        Args:
            turn: Number of the batch, from 0; a step of the optimizer takes one or several.
            rng: Belongs to this batch alone.
        """

    @final
    def step(self, context: "Context") -> "Losses":
        """Adds gradients; the losses of the members in their order."""
        return teach(context, self.plan(context.turn, context.rng))


def teach(
    context: "Context", lessons: Sequence[Lesson], *, parts: Sequence[slice] = ()
) -> "Losses":
    """Adds the gradients of a batch's lessons; the losses of the members in their order.

    Args:
        context: The batch.
        lessons: What its members learn, each in one pass.
        parts: Of the batch, those that the lessons look at; () if each looks at all of it. Images
            of the first member are no other's then, so that none has a teacher.
    """
    assert not parts or not any(lesson.teacher_share for lesson in lessons)
    teacher_BK: Tensor | None = None
    losses = []
    for place, lesson in enumerate(lessons):
        seen = context.part(parts[place]) if parts else context
        logits_BK = seen.logits(lesson.encoding, seen.images_BCHW)
        loss = seen.label_loss(logits_BK, seen.labels_B)
        if teacher_BK is None:
            teacher_BK = logits_BK.detach()
        elif lesson.teacher_share:
            distilled = context.distillation_loss(logits_BK, teacher_BK)
            loss = loss.lerp(distilled, lesson.teacher_share)
        (loss * lesson.weight).backward()
        losses.append((lesson.role, loss.detach()))
    return read_losses(losses)


def read_losses(losses: Sequence[tuple[str, "Tensor"]]) -> "Losses":
    """Who was trained, and its loss as a number: last in a batch, as it waits for the device."""
    return [(role, float(loss)) for role, loss in losses]
