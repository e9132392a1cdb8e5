"""A teacher that was asked once: what it said is read while others are trained.

An epoch shows every image once, in groups that are varied together: group g of epoch v is batch
number `v * groups per epoch + g` of a drawing, and all of it, images and labels, follows from that
number. So nothing but the number of a variant, v, and the answers is stored. A training takes its
batches of whole groups, in an order of its own in every epoch; after `variants` epochs the same
variants come again.

Of classification the largest of the probabilities may be enough: the others then have what is left,
each the same.

Source: Faghri et al., Reinforce Data, Multiply Impact: Improved Model Accuracy and Robustness with
Dataset Reinforcement (2023), section 3: augmentations and sparse probabilities of a teacher are
stored with the data, and students never ask it. Departures: numbers of batches are stored in place
of the parameters of augmentations; images that are varied together stay together; what is left of a
probability is spread evenly.

Shapes: B batch, S images of a group, G groups of all variants, K outputs, k those that are stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from supernets.augmentations import MixedLabels
from supernets.device import at_work, computing
from supernets.images import Drawing, Images, order_of
from supernets.plan import TrainPlan
from supernets.steps import answers_of, placed
from supernets.teachers._base import AbstractTeacher, Asked

VALUES, CLASSES = "values", "classes"
GROUP = 32
"""Images that are varied together; batches are of this many, or of a multiple."""

LEAST = 1e-6
"""Probability that the classes which are not stored share, at least."""

Answers = Mapping[str, Tensor]
"""Of the groups of a variant: values (G, S, k) in fp16, and the classes (G, S, k) that they are of,
unless they are of all."""


@final
@dataclass(frozen=True, kw_only=True)
class StoredTeacher(AbstractTeacher):
    """Answers to variants of training images.

    Attributes:
        drawing: Of groups.
        variants: How many of each image.
        num_outputs: K.
        values_GSk: Outputs, or the logarithms of the largest probabilities; fp16.
        classes_GSk: Whose those are; None for all.
    """

    drawing: Drawing
    variants: int
    num_outputs: int
    values_GSk: Tensor
    classes_GSk: Tensor | None = None

    @staticmethod
    def of(drawing: Drawing, num_outputs: int, variants: Sequence[Answers]) -> "StoredTeacher":
        """Of what `answers_to` gave for each variant, in order."""
        has_classes = CLASSES in variants[0]
        return StoredTeacher(
            drawing=drawing,
            variants=len(variants),
            num_outputs=num_outputs,
            values_GSk=torch.cat([answers[VALUES] for answers in variants]),
            classes_GSk=torch.cat([a[CLASSES] for a in variants]) if has_classes else None,
        )

    def groups(self, drawing: Drawing, turn: int) -> list[int]:
        """Numbers of the groups that a batch is of.

        Args:
            drawing: Of the training: its batch, of whole groups, and its seed.
            turn: Number of the batch.
        """
        in_batch, rest = divmod(drawing.batch_size, self.drawing.batch_size)
        assert not rest, (drawing.batch_size, self.drawing.batch_size)
        per_epoch = len(self.values_GSk) // self.variants
        found = []
        for number in range(turn * in_batch, (turn + 1) * in_batch):
            epoch, position = divmod(number, per_epoch)
            group = int(order_of(per_epoch, drawing.seed, epoch)[position])
            found.append(epoch % self.variants * per_epoch + group)
        return found

    def batch(
        self, images: Images, drawing: Drawing, turn: int
    ) -> tuple[Tensor, Tensor | MixedLabels]:
        """The images that the teacher saw, made again, and their labels."""
        # NOTE: streamed images are decoded ahead in the order of groups, which is not this one.
        parts = [self.drawing.batch(images, group) for group in self.groups(drawing, turn)]
        return torch.cat([part for part, _ in parts]), joined([labels for _, labels in parts])

    def __call__(self, asked: Asked) -> Tensor:
        """What the teacher said; of classes that are not stored, what is left."""
        groups = torch.tensor(self.groups(asked.drawing, asked.turn))
        values_Bk = self.values_GSk[groups].flatten(0, 1).float()
        if self.classes_GSk is not None:
            classes_Bk = self.classes_GSk[groups].flatten(0, 1).long()
            left_B1 = (1 - values_Bk.exp().sum(1, keepdim=True)).clamp_min(LEAST)
            others = self.num_outputs - values_Bk.shape[1]
            outputs_BK = (left_B1 / others).log().repeat(1, self.num_outputs)
            values_Bk = outputs_BK.scatter_(1, classes_Bk, values_Bk)
        return values_Bk.to(asked.images_BCHW.device)


def group_of(batch_size: int) -> int:
    """Images of a group, for batches of this many."""
    return batch_size if batch_size % GROUP else GROUP


def answers_to(
    teacher: AbstractTeacher,
    images: Images,
    plan: TrainPlan,
    drawing: Drawing,
    *,
    variant: int,
    top: int = 0,
) -> Answers:
    """Ask a teacher about one variant of all images.

    Args:
        teacher: Answers for images that are drawn.
        images: To train on.
        plan: Where and in which precision it computes.
        drawing: Of groups.
        variant: Its number.
        top: So many of the largest probabilities are kept; 0 for all outputs as they are.
    """
    per_epoch = drawing.steps_per_epoch(images)
    found: list[Tensor] = []
    with at_work(plan.device, *teacher.networks), computing(plan.device, plan.precision):
        for turn in range(variant * per_epoch, (variant + 1) * per_epoch):
            images_BCHW, _ = placed(*drawing.batch(images, turn), plan)
            asked = Asked(images_BCHW, images, drawing, turn)
            found.append(answers_of(teacher, asked, plan).float().cpu())
    outputs_GSK = torch.stack(found)
    if not 0 < top < outputs_GSK.shape[2]:
        return {VALUES: outputs_GSK.half()}
    values_GSk, classes_GSk = outputs_GSK.log_softmax(2).topk(top, dim=2)
    return {VALUES: values_GSk.half(), CLASSES: classes_GSk.to(_narrow(outputs_GSK.shape[2]))}


def joined(labels: Sequence[Tensor | MixedLabels]) -> Tensor | MixedLabels:
    """Labels of several batches as those of one; mixed ones if any are."""
    plain = [of_batch for of_batch in labels if isinstance(of_batch, Tensor)]
    if len(plain) == len(labels):
        return torch.cat(plain)
    mixed = [
        MixedLabels(of_batch, of_batch, torch.zeros(len(of_batch)))
        if isinstance(of_batch, Tensor)
        else of_batch
        for of_batch in labels
    ]
    return MixedLabels(*(torch.cat(parts) for parts in zip(*mixed, strict=True)))


def _narrow(num_classes: int) -> torch.dtype:
    """The smallest type that has their numbers."""
    if num_classes <= torch.iinfo(torch.uint8).max:
        return torch.uint8
    return torch.int16 if num_classes <= torch.iinfo(torch.int16).max else torch.int32
