"""What a batch teaches early exits: labels, and the network's own answers.

Shapes: B batch, C channels, H W space, K classes.
"""

from dataclasses import dataclass, replace
from typing import Self, final

import torch
from torch import Tensor, nn

from supernets.device import autocast
from supernets.images import Images
from supernets.plan import TrainPlan
from supernets.steps import drawing_of, label_loss, placed
from supernets.tasks._base import losses_of
from supernets.team import AbstractBatches, Losses, State

TEACHER_SHARE = 0.5
"""Of an exit's loss; the rest is that on labels."""


@final
@dataclass(frozen=True)
class ExitBatches(AbstractBatches):
    """Exits on labels and on the network's own answers.

    The loss of exits is the mean over them. Trained together, the network's own on labels is added.

    Attributes:
        plan: Precision, memory format, smoothing, weights of classes.
        trunk: The network, in evaluation mode, if the exits alone are trained, which are `Exits`
            then; None if all of it is, an `Exiting`.
    """

    plan: TrainPlan
    trunk: nn.Module | None

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """The network, if it is not trained."""
        return () if self.trunk is None else (self.trunk,)

    def on(self, device: str) -> Self:
        """With the plan there."""
        return replace(self, plan=replace(self.plan, device=device))

    def __call__(
        self, network: nn.Module, images: Images, turn: int, state: State
    ) -> tuple[Losses, State]:
        """Adds gradients; the loss of exits, and that of the network if it is trained."""
        plan = self.plan
        images_BCHW, labels = placed(*drawing_of(images, plan).batch(images, turn), plan)

        with autocast(plan.device, plan.precision):
            *answers, logits_BK = self._answers(network, images_BCHW)
        teacher_BK = logits_BK.detach()
        taught = losses_of(images.task).distillation_loss
        of_exits = torch.stack(
            [
                label_loss(images, plan, answer_BK, labels).lerp(
                    taught(answer_BK, teacher_BK), TEACHER_SHARE
                )
                for answer_BK in answers
            ]
        ).mean()
        losses = {"exits": of_exits}
        if self.trunk is None:
            losses["network"] = label_loss(images, plan, logits_BK, labels)
        torch.stack([*losses.values()]).sum().backward()
        return [(name, float(loss.detach())) for name, loss in losses.items()], {}

    def _answers(self, network: nn.Module, images_BCHW: Tensor) -> tuple[Tensor, ...]:
        if self.trunk is None:
            found: tuple[Tensor, ...] = network(images_BCHW)
            return found
        with torch.no_grad():
            *maps, logits_BK = self.trunk(images_BCHW)
        return (*network(maps), logits_BK)
