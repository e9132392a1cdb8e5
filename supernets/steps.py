"""What one batch teaches: the members of a supernet, or one network alone.

Both go to other processes by pickle: they hold no network but those that are asked besides the
trained one. Shapes: B batch, C channels, H W space, K outputs.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self, final

import numpy as np
import torch
from torch import Tensor, nn

from supernets.augmentations import MixedLabels
from supernets.context import Context
from supernets.device import autocast, moved
from supernets.images import Images
from supernets.methods._base import AbstractMethod
from supernets.plan import BALANCED, TrainPlan
from supernets.state import NOTHING
from supernets.supernet import Supernet
from supernets.tasks._base import loss_on, losses_of
from supernets.team import AbstractBatches, Losses, State

MANY_PASSES, SHARED_BY = 20, 4
"""Passes over the images, as one network sees them, from which on these must be shifted as far as
they may be; and how many different members share the passes of a supernet's training."""


@final
@dataclass(frozen=True)
class SupernetBatches(AbstractBatches):
    """What a training method does with a supernet.

    Attributes:
        plan: Precision, memory format, smoothing, weights of classes, seed.
        method: Trains members on a batch.
        share_done: Of the training, before any batch; None for what the batch's number says.
        average: Has the averaged weights, and the buffers, of the supernet that is trained, if the
            method asks it.
    """

    plan: TrainPlan
    method: AbstractMethod
    share_done: float | None = None
    average: Supernet | None = None

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """The average, if there is one."""
        return () if self.average is None else (self.average,)

    def averaging(self, network: nn.Module) -> Self:
        """With a copy of the network for its average, if the method asks one."""
        if not self.method.needs_average:
            return self
        assert isinstance(network, Supernet)
        shared = {id(part): part for part in (network.space, *network.buffers())}
        return replace(self, average=copy.deepcopy(network, shared).requires_grad_(False))

    def on(self, device: str) -> Self:
        """With the plan there."""
        return replace(self, plan=replace(self.plan, device=device))

    def initial_state(self) -> State:
        """The method's."""
        return self.method.initial_state()

    def __call__(
        self, network: nn.Module, images: Images, turn: int, state: State
    ) -> tuple[Losses, State]:
        """Adds gradients; the losses in the method's order, and its report."""
        assert isinstance(network, Supernet)
        context = self.context(network, images, turn, state)
        losses = self.method.step(context)
        # Copied, as if it had come from another process.
        return losses, {name: np.array(value) for name, value in context.report.items()}

    def context(
        self, network: Supernet, images: Images, turn: int, state: State = NOTHING
    ) -> Context:
        """What a method works with in one batch."""
        plan, share_done = self.plan, self.share_done
        if share_done is None:
            share_done = turn // plan.shards / plan.steps
        images_BCHW, labels_B = _batch(images, plan, turn, shared_by=SHARED_BY)
        return Context(
            supernet=network,
            plan=plan,
            turn=turn,
            share_done=share_done,
            images_BCHW=images_BCHW,
            labels_B=labels_B,
            rng=np.random.default_rng([plan.seed, 3, turn]),
            state={name: _read_only(array) for name, array in state.items()},
            task=images.task,
            weights_K=_class_weights(images, plan),
            average=self.average,
        )

    def fold(self, state: State, reports: Sequence[State]) -> State:
        """The method's."""
        return self.method.fold(state, reports)


@final
@dataclass(frozen=True)
class AloneBatches(AbstractBatches):
    """One network on the labels, and on a teacher's answers if there is one.

    Attributes:
        plan: Precision, memory format, smoothing, weights of classes.
        teacher: From normalised images to logits, without gradients; None for labels only.
        teacher_share: Of the loss; the rest is the labels'.
    """

    plan: TrainPlan
    teacher: Callable[[Tensor], Tensor] | None = None
    teacher_share: float = 0.5

    def on(self, device: str) -> Self:
        """With the plan there."""
        return replace(self, plan=replace(self.plan, device=device))

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """The teacher, if it is one."""
        return (self.teacher,) if isinstance(self.teacher, nn.Module) else ()

    def __call__(
        self, network: nn.Module, images: Images, turn: int, state: State
    ) -> tuple[Losses, State]:
        """Adds gradients; the one loss."""
        plan = self.plan
        images_BCHW, labels_B = _batch(images, plan, turn)
        with autocast(plan.device, plan.precision):
            logits_BK = network(images_BCHW)
        loss = loss_on(
            images.task,
            logits_BK,
            labels_B,
            smoothing=plan.label_smoothing,
            weights_K=_class_weights(images, plan),
        )
        if self.teacher is not None:
            with torch.no_grad(), autocast(plan.device, plan.precision):
                teacher_BK = self.teacher(images_BCHW)
            distilled = losses_of(images.task).distillation_loss(logits_BK, teacher_BK)
            loss = torch.lerp(loss, distilled, self.teacher_share)
        loss.backward()
        return [("network", float(loss.detach()))], {}


def _class_weights(images: Images, plan: TrainPlan) -> Tensor | None:
    return moved(images.balancing_K, plan.device) if plan.class_weights == BALANCED else None


def _batch(
    images: Images, plan: TrainPlan, turn: int, *, shared_by: int = 1
) -> tuple[Tensor, Tensor | MixedLabels]:
    """Made by the processor, and on its way to the plan's device."""
    passes = plan.steps * plan.images_per_step / len(images.labels_N) / shared_by
    images_BCHW, labels_B = images.batch(
        turn,
        plan.batch_size,
        plan.seed,
        is_shift_halved=passes < MANY_PASSES,
        augment=plan.augment,
        repeats=plan.repeats,
    )
    if plan.channels_last:
        images_BCHW = images_BCHW.contiguous(memory_format=torch.channels_last)
    on_device = moved(images_BCHW, plan.device)
    if isinstance(labels_B, MixedLabels):
        return on_device, labels_B.on(plan.device)
    return on_device, moved(labels_B, plan.device)


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
