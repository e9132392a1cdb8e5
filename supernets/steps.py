"""What one batch teaches: the lessons of a supernet, or those of one network alone.

Both are `supernets.team.Batches`: called with the number of a batch, they add gradients and return
losses; they go to other processes by pickle, so they hold no network. Shapes: B batch, C channels,
H W space, K classes.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor, nn

from supernets.images import Images
from supernets.methods._base import AbstractMethod
from supernets.supernet import Supernet
from supernets.task import distillation_loss, label_loss
from supernets.team import Losses
from supernets.train import TrainPlan


@final
@dataclass(frozen=True)
class SupernetLessons:
    """The members that the method plans, taught by the batch's first one.

    Attributes:
        plan: Precision, memory format, smoothing, seed.
        method: Which members a batch trains.
    """

    plan: TrainPlan
    method: AbstractMethod

    def __call__(self, network: nn.Module, images: Images, turn: int) -> Losses:
        """Adds gradients; the losses of the members in the method's order."""
        assert isinstance(network, Supernet)
        plan = self.plan
        images_BCHW, labels_B = _laid_out(images.batch(turn, plan.batch_size, plan.seed), plan)
        teacher_BK: Tensor | None = None
        losses = []
        for lesson in self.method.plan(turn, np.random.default_rng([plan.seed, 3, turn])):
            with autocast(plan.precision):
                logits_BK = network(images_BCHW, network.space.slots(lesson.encoding))
            loss = label_loss(logits_BK, labels_B, smoothing=plan.label_smoothing)
            if teacher_BK is None:
                teacher_BK = logits_BK.detach()
            elif lesson.teacher_share:
                distilled = distillation_loss(logits_BK, teacher_BK)
                loss = torch.lerp(loss, distilled, lesson.teacher_share)
            (loss * lesson.weight).backward()
            losses.append((lesson.role, float(loss.detach())))
        return losses


@final
@dataclass(frozen=True)
class AloneLessons:
    """One network on the labels, and on a teacher's answers if there is one.

    Attributes:
        plan: Precision, memory format, smoothing.
        teacher: From normalised images to logits, without gradients; None for labels only.
        teacher_share: Of the loss; the rest is the labels'.
    """

    plan: TrainPlan
    teacher: Callable[[Tensor], Tensor] | None = None
    teacher_share: float = 0.5

    def __call__(self, network: nn.Module, images: Images, turn: int) -> Losses:
        """Adds gradients; the one loss."""
        plan = self.plan
        images_BCHW, labels_B = _laid_out(images.batch(turn, plan.batch_size, plan.seed), plan)
        with autocast(plan.precision):
            logits_BK = network(images_BCHW)
        loss = label_loss(logits_BK, labels_B, smoothing=plan.label_smoothing)
        if self.teacher is not None:
            with torch.no_grad(), autocast(plan.precision):
                teacher_BK = self.teacher(images_BCHW)
            loss = torch.lerp(loss, distillation_loss(logits_BK, teacher_BK), self.teacher_share)
        loss.backward()
        return [("network", float(loss.detach()))]


def autocast(precision: str) -> AbstractContextManager[None]:
    """bf16 where it is safe, or nothing."""
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")


def _laid_out(batch: tuple[Tensor, Tensor], plan: TrainPlan) -> tuple[Tensor, Tensor]:
    images_BCHW, labels_B = batch
    if plan.channels_last:
        images_BCHW = images_BCHW.contiguous(memory_format=torch.channels_last)
    return images_BCHW, labels_B
