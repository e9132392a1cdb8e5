"""What a training method works with: one batch, members of the supernet on images, gradients.

Shapes: B batch, C channels, H W space, K outputs; of weights, K classes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from search_spaces import DEFAULT_TASK, Sides, Slot
from supernets.augmentations import MixedLabels
from supernets.device import autocast
from supernets.frequencies import resampled
from supernets.loss_scale import amplified
from supernets.network import slots_at
from supernets.plan import TrainPlan
from supernets.supernet import Supernet
from supernets.tasks._base import loss_on, losses_of
from supernets.team import State


@final
@dataclass(frozen=True, kw_only=True)
class Context:
    """One batch.

    Gradients are torch's: `loss.backward()` adds to those of the parameters, and what is there at
    the end of the step is the batch's. Weights may be memory that other processes compute with at
    the same time, so a step leaves them alone; `moved` gives this batch others.

    Attributes:
        supernet: In training mode.
        plan: How it is trained.
        turn: Number of the batch, from 0; a step of the optimizer takes one or several.
        share_done: Of the steps, those before this batch's, in [0, 1).
        images_BCHW: Augmented and normalised.
        labels_B: Of the images, for `label_loss`; mixed ones if images are.
        rng: Belongs to this batch alone, as does all randomness of a step.
        state: What the method's `fold` made of earlier steps; read only.
        report: To be filled by the step: arrays or numbers for `fold`.
        task: What is learnt of the images.
        weights_K: Of classes in the loss on labels; None for 1 each.
        average: The supernet with averaged weights, in training mode; None if the method does not
            need it.
        scale: Of gradients inside of the supernet (`supernets/loss_scale.py`).
        sides: Height and width of images, pixels, for which members are those of smaller images;
            None for those of the space. Members that have one size alone are given the same
            frequencies at that size.
    """

    supernet: Supernet
    plan: TrainPlan
    turn: int
    share_done: float
    images_BCHW: Tensor
    labels_B: Tensor | MixedLabels
    rng: np.random.Generator
    state: State
    report: dict[str, Any] = field(default_factory=dict)
    task: str = DEFAULT_TASK
    weights_K: Tensor | None = None
    average: Supernet | None = None
    scale: float = 1.0
    sides: Sides | None = None

    def logits(self, encoding: Sequence[int], images_BCHW: Tensor) -> Tensor:
        """What a member answers, (B, K)."""
        return self.logits_of(*self._placed(encoding, images_BCHW))

    def logits_of(self, slots: Sequence[Slot], images_BCHW: Tensor) -> Tensor:
        """What a network of these slots answers with the shared weights, (B, K)."""
        images_BCHW = amplified(images_BCHW, 1 / self.scale)
        with autocast(self.plan.device, self.plan.precision):
            logits_BK: Tensor = self.supernet(images_BCHW, slots)
        return amplified(logits_BK, self.scale)

    def features(self, encoding: Sequence[int], images_BCHW: Tensor) -> dict[str, Tensor]:
        """What every slot of a member gives, by its name and in their order; last the logits."""
        slots, images_BCHW = self._placed(encoding, images_BCHW)
        images_BCHW = amplified(images_BCHW, 1 / self.scale)
        with autocast(self.plan.device, self.plan.precision):
            found = self.supernet.features(images_BCHW, slots)
        return {name: amplified(values, self.scale) for name, values in found.items()}

    def averaged_logits(self, encoding: Sequence[int], images_BCHW: Tensor) -> Tensor:
        """What a member with averaged weights answers, (B, K), without gradients.

        The average is of the steps before, as `TrainPlan.ema_decay` says, and what training ends
        with.
        """
        assert self.average is not None, "a method that asks the average says so by `needs_average`"
        slots, images_BCHW = self._placed(encoding, images_BCHW)
        with torch.no_grad(), autocast(self.plan.device, self.plan.precision):
            logits_BK: Tensor = self.average(images_BCHW, slots)
        return logits_BK

    def _placed(
        self, encoding: Sequence[int], images_BCHW: Tensor
    ) -> tuple[tuple[Slot, ...], Tensor]:
        """Slots of a member, and images of the size that they are for."""
        space = self.supernet.space
        slots = space.slots(encoding)
        if self.sides is None:
            return slots, images_BCHW
        smaller = slots_at(slots, self.sides)
        if smaller is not None:
            return smaller, images_BCHW
        assert space.network is not None
        return slots, resampled(images_BCHW, space.network.sides)

    def label_loss(
        self,
        logits_BK: Tensor,
        labels_B: Tensor | MixedLabels,
        weights_B: Tensor | None = None,
    ) -> Tensor:
        """Of the task, a scalar; classes are weighted as the plan says.

        Args:
            logits_BK: Of the images.
            labels_B: Of the images.
            weights_B: Factors of the images' losses; None for 1 each.
        """
        return loss_on(
            self.task,
            logits_BK,
            labels_B,
            smoothing=self.plan.label_smoothing,
            weights_K=self.weights_K,
            weights_B=weights_B,
        )

    def image_losses(self, logits_BK: Tensor, labels_B: Tensor | MixedLabels) -> Tensor:
        """The loss on labels of every image, (B,), without gradients.

        The mean of losses times weights has them as its derivatives, whatever the task.
        """
        weights_B = logits_BK.new_ones(len(logits_BK), dtype=torch.float32, requires_grad=True)
        with torch.enable_grad():
            loss = self.label_loss(logits_BK.detach(), labels_B, weights_B)
            (found_B,) = torch.autograd.grad(loss, [weights_B])
        return found_B * len(logits_BK)

    def distillation_loss(self, logits_BK: Tensor, teacher_BK: Tensor) -> Tensor:
        """Of the task, towards a teacher's logits; a scalar. All images count alike."""
        return losses_of(self.task).distillation_loss(logits_BK, teacher_BK)

    def part(self, which: slice) -> "Context":
        """The same batch with some of its images alone; its generator and its report are shared."""
        labels_B = self.labels_B
        return replace(
            self,
            images_BCHW=self.images_BCHW[which],
            labels_B=labels_B[which] if isinstance(labels_B, Tensor) else labels_B.of(which),
        )

    @cached_property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """All shared weights, in a fixed order."""
        return tuple(self.supernet.parameters())

    def gradients(self, loss: Tensor) -> list[Tensor | None]:
        """Of a loss, by parameter; None where it does not depend on one. Frees the loss's graph."""
        return list(torch.autograd.grad(loss, self.parameters, allow_unused=True))

    def set_gradients(self, gradients: Sequence[Tensor | None]) -> None:
        """Puts gradients, by parameter, in the place of those that are there."""
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = None
            if gradient is not None:
                # Laid out like the parameter, as `backward` does: norms are sums in memory's order.
                parameter.grad = torch.empty_like(parameter).copy_(gradient.detach())

    @contextmanager
    def moved(self, offsets: Sequence[Tensor | None]) -> Iterator[None]:
        """In this context the weights are other ones, for this batch alone; then as they were.

        A loss that is computed in it must be differentiated in it, too.

        Args:
            offsets: Added to the parameters; None leaves one where it is.
        """
        before = [parameter.data for parameter in self.parameters]
        try:
            for parameter, offset in zip(self.parameters, offsets, strict=True):
                if offset is not None:
                    parameter.data = parameter.data + offset
            yield
        finally:
            for parameter, data in zip(self.parameters, before, strict=True):
                parameter.data = data
