"""What one training step adds up: the lessons of a supernet, or those of one network alone.

Both are `supernets.train.Step`s: called with a batch, they add gradients and return losses. Shapes:
B batch, C channels, H W space, K classes.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor, nn

from supernets.methods._base import AbstractMethod
from supernets.supernet import Supernet
from supernets.task import distillation_loss, label_loss
from supernets.train import TrainPlan


@final
@dataclass(frozen=True)
class SupernetStep:
    """The members that the method plans, taught by the step's first one.

    Attributes:
        supernet: In training mode.
        plan: Precision, memory format, smoothing, seed.
        method: Which members a step trains.
    """

    supernet: Supernet
    plan: TrainPlan
    method: AbstractMethod

    def __call__(self, batch: tuple[Tensor, Tensor], step: int) -> list[float]:
        """Adds gradients; the losses of the members in the method's order."""
        supernet, plan = self.supernet, self.plan
        if step == plan.rank_step:
            supernet.rank()
        images_BCHW, labels_B = _laid_out(batch, plan)
        teacher_BK: Tensor | None = None
        losses = []
        for lesson in self.method.plan(step, np.random.default_rng([plan.seed, 3, step])):
            with autocast(plan.precision):
                logits_BK = supernet(images_BCHW, supernet.space.slots(lesson.encoding))
            loss = label_loss(logits_BK, labels_B, smoothing=plan.label_smoothing)
            if teacher_BK is None:
                teacher_BK = logits_BK.detach()
            elif lesson.teacher_share:
                distilled = distillation_loss(logits_BK, teacher_BK)
                loss = torch.lerp(loss, distilled, lesson.teacher_share)
            (loss * lesson.weight).backward()
            losses.append(float(loss.detach()))
        return losses


@final
@dataclass(frozen=True)
class AloneStep:
    """One network on the labels, and on a teacher's answers if there is one.

    Attributes:
        network: In training mode.
        plan: Precision, memory format, smoothing.
        teacher: From normalised images to logits, without gradients; None for labels only.
        teacher_share: Of the loss; the rest is the labels'.
    """

    network: nn.Module
    plan: TrainPlan
    teacher: Callable[[Tensor], Tensor] | None = None
    teacher_share: float = 0.5

    def __call__(self, batch: tuple[Tensor, Tensor], step: int) -> list[float]:
        """Adds gradients; the one loss."""
        images_BCHW, labels_B = _laid_out(batch, self.plan)
        with autocast(self.plan.precision):
            logits_BK = self.network(images_BCHW)
        loss = label_loss(logits_BK, labels_B, smoothing=self.plan.label_smoothing)
        if self.teacher is not None:
            with torch.no_grad(), autocast(self.plan.precision):
                teacher_BK = self.teacher(images_BCHW)
            loss = torch.lerp(loss, distillation_loss(logits_BK, teacher_BK), self.teacher_share)
        loss.backward()
        return [float(loss.detach())]


def autocast(precision: str) -> AbstractContextManager[None]:
    """bf16 where it is safe, or nothing."""
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")


def _laid_out(batch: tuple[Tensor, Tensor], plan: TrainPlan) -> tuple[Tensor, Tensor]:
    images_BCHW, labels_B = batch
    if plan.channels_last:
        images_BCHW = images_BCHW.contiguous(memory_format=torch.channels_last)
    return images_BCHW, labels_B
