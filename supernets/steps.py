"""What one batch teaches: the members of a supernet, or one network alone.

Both go to other processes by pickle: they hold no network but those that are asked besides the
trained one. Shapes: B batch, C channels, H W space, K outputs.
"""

import copy
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Self, final

import numpy as np
import torch
from torch import Tensor, nn

from supernets.augmentations import MixedLabels
from supernets.compiled import ALWAYS, pass_of
from supernets.context import Context
from supernets.device import autocast, moved
from supernets.dropping import dropping
from supernets.images import Drawing, Images
from supernets.loss_scale import (
    amplified,
    beside_scale,
    damped_weights,
    folded_scale,
    initial_scale,
    overflow_of,
    scale_of,
)
from supernets.methods._base import AbstractMethod
from supernets.plan import BALANCED, TrainPlan
from supernets.state import NOTHING
from supernets.supernet import Supernet
from supernets.tasks._base import loss_on, losses_of
from supernets.teachers import LABELS_ONLY, AbstractTeacher, Asked, Teaching
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
        """The method's, and in fp16 the scale of gradients."""
        return {**self.method.initial_state(), **initial_scale(self.plan.precision)}

    def __call__(
        self, network: nn.Module, images: Images, turn: int, state: State
    ) -> tuple[Losses, State]:
        """Adds gradients; the losses in the method's order, and its report."""
        assert isinstance(network, Supernet)
        context = self.context(network, images, turn, state)
        with damped_weights(network, context.scale):
            losses = self.method.step(context)
        # Copied, as if it had come from another process.
        report = {name: np.array(value) for name, value in context.report.items()}
        return losses, {**report, **overflow_of(network, state)}

    def context(
        self, network: Supernet, images: Images, turn: int, state: State = NOTHING
    ) -> Context:
        """What a method works with in one batch."""
        plan, share_done = self.plan, self.share_done
        if share_done is None:
            share_done = turn // plan.shards / plan.steps
        augment = self.method.augment_at(plan.augment, share_done)
        drawing = drawing_of(images, replace(plan, augment=augment), shared_by=SHARED_BY)
        drawn = drawing.batch(images, turn)
        images_BCHW, labels_B = placed(*drawn, plan)
        return Context(
            supernet=network,
            plan=plan,
            turn=turn,
            share_done=share_done,
            images_BCHW=images_BCHW,
            labels_B=labels_B,
            rng=np.random.default_rng([plan.seed, 3, turn]),
            state={name: _read_only(array) for name, array in beside_scale(state).items()},
            task=images.task,
            weights_K=_class_weights(images, plan),
            average=self.average,
            scale=scale_of(state),
        )

    def fold(self, state: State, reports: Sequence[State]) -> State:
        """The method's, and the next scale."""
        own = self.method.fold(beside_scale(state), [beside_scale(report) for report in reports])
        return {**own, **folded_scale(state, reports)}


@final
@dataclass(frozen=True)
class AloneBatches(AbstractBatches):
    """One network on the labels, and on whatever else it learns from.

    Attributes:
        plan: Precision, memory format, whether it is compiled, smoothing, weights of classes.
        teaching: What else.
    """

    plan: TrainPlan
    teaching: Teaching = LABELS_ONLY

    def on(self, device: str) -> Self:
        """With the plan there."""
        return replace(self, plan=replace(self.plan, device=device))

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """Those that answer."""
        return self.teaching.networks

    @property
    def has_hooks(self) -> bool:
        """Whether steps record or change what is inside of the network: by hooks, which compiled
        passes have none of.
        """
        return bool(self.teaching.likenesses or self.plan.drop_path or self.plan.dropout)

    def initial_state(self) -> State:
        """The discriminator's weights, if there is one, and in fp16 the scale of gradients."""
        discriminator = self.teaching.discriminator
        own = discriminator.initial_state() if discriminator else {}
        return {**own, **initial_scale(self.plan.precision)}

    def __call__(
        self, network: nn.Module, images: Images, turn: int, state: State
    ) -> tuple[Losses, State]:
        """Adds gradients; the one loss."""
        plan, drawing = self.plan, drawing_of(images, self.plan)
        after: dict[str, Tensor] = {}
        teacher, share = self.teaching.teacher, self.teaching.share
        likenesses = self.teaching.likenesses
        drawn = teacher.batch(images, drawing, turn) if teacher else drawing.batch(images, turn)
        images_BCHW, labels = placed(*drawn, plan)
        with autocast(plan.device, plan.precision), ExitStack() as stack:
            stack.enter_context(dropping(network, plan, turn))
            recorded = [stack.enter_context(like.recording(network)) for like in likenesses]
            is_compiled = plan.compile == ALWAYS and not self.has_hooks
            run = pass_of(network) if is_compiled else network
            logits_BK = run(images_BCHW)
        loss = logits_BK.new_zeros((), dtype=torch.float32)
        if teacher is None or share < 1:
            loss = label_loss(images, plan, logits_BK, labels)
        if teacher is not None:
            teacher_BK = answers_of(teacher, Asked(images_BCHW, images, drawing, turn), plan)
            distilled = losses_of(images.task).distillation_loss(logits_BK, teacher_BK)
            loss = torch.lerp(loss, distilled, share)
            if self.teaching.discriminator is not None:
                misled, after = self.teaching.discriminator(
                    logits_BK, teacher_BK, beside_scale(state)
                )
                loss = loss + misled
        with autocast(plan.device, plan.precision):
            for likeness, found in zip(likenesses, recorded, strict=True):
                loss = loss + likeness(network, found, images_BCHW)
        with damped_weights(network, scale_of(state)):
            amplified(loss, scale_of(state)).backward()
        report = {name: weight.cpu().numpy() for name, weight in after.items()}
        return [("network", float(loss.detach()))], {**report, **overflow_of(network, state)}

    def fold(self, state: State, reports: Sequence[State]) -> State:
        """The mean of what batches have made of the discriminator, and the next scale."""
        own = {
            name: np.stack([report[name] for report in reports]).mean(0, dtype=np.float32)
            for name in beside_scale(state)
        }
        return {**own, **folded_scale(state, reports)}


@torch.no_grad()
def answers_of(teacher: AbstractTeacher, asked: Asked, plan: TrainPlan) -> Tensor:
    """What a teacher says to a batch, (B, K), in the plan's precision."""
    with autocast(plan.device, plan.precision):
        return teacher(asked)


def drawing_of(images: Images, plan: TrainPlan, *, shared_by: int = 1) -> Drawing:
    """How a training draws its batches.

    Args:
        images: To train on.
        plan: Says how many batches, of what size.
        shared_by: So many networks share the passes over the images.
    """
    passes = plan.steps * plan.images_per_step / len(images.labels_N) / shared_by
    return Drawing(
        batch_size=plan.batch_size,
        seed=plan.seed,
        is_shift_halved=passes < MANY_PASSES,
        augment=plan.augment,
        repeats=plan.repeats,
    )


def placed(
    images_BCHW: Tensor, labels: Tensor | MixedLabels, plan: TrainPlan
) -> tuple[Tensor, Tensor | MixedLabels]:
    """A batch made by the processor, on its way to the plan's device."""
    on_device = laid_out(images_BCHW, plan)
    if isinstance(labels, MixedLabels):
        return on_device, labels.on(plan.device)
    return on_device, moved(labels, plan.device)


def laid_out(images_BCHW: Tensor, plan: TrainPlan) -> Tensor:
    """Images in the plan's memory format, on their way to its device."""
    if plan.channels_last:
        images_BCHW = images_BCHW.contiguous(memory_format=torch.channels_last)
    return moved(images_BCHW, plan.device)


def label_loss(
    images: Images, plan: TrainPlan, logits_BK: Tensor, labels: Tensor | MixedLabels
) -> Tensor:
    """The loss on labels of a network that is trained alone, a scalar.

    Args:
        images: What they are of.
        plan: Smoothing, weights of classes.
        logits_BK: What the network answers.
        labels: Of the batch.
    """
    return loss_on(
        images.task,
        logits_BK,
        labels,
        smoothing=plan.label_smoothing,
        weights_K=_class_weights(images, plan),
    )


def _class_weights(images: Images, plan: TrainPlan) -> Tensor | None:
    """Of the loss on labels, (K,); None where images count alike."""
    return moved(images.balancing_K, plan.device) if plan.class_weights == BALANCED else None


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
