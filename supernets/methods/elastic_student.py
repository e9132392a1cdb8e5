"""A large member and a part of it learn, without labels, what an average of the weights answers.

Three networks look at an image in each batch (Zhang et al., POA: Pre-training Once for Models of
All Sizes, 2024): the teacher, which has the averaged weights and sees one view of the image; the
intact student, a largest member, and the elastic student, a part of it of random sizes, which see
another. Both learn the teacher's answers, and the elastic student those of the intact one for the
same view, too. The teacher's answers are sharper than a student's, and have the mean of earlier
answers taken away, so that no answer can be the same for all images (Caron et al., Emerging
Properties in Self-Supervised Vision Transformers, 2021).

Departures: the answers are the head's outputs, without heads of projection and prototypes beside
it; they are centred instead of balanced by Sinkhorn and Knopp's iterations; there is one elastic
student a batch. Labels may have a share of the loss, since outputs that are no classes tell a
search nothing. The average is that which training returns, of `ema_decay`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from search_spaces import SearchSpace, check_ranges
from supernets.device import moved
from supernets.methods._base import METHODS, AbstractMethod
from supernets.methods._lessons import LARGEST, RANDOM, read_losses
from supernets.methods._members import Members

if TYPE_CHECKING:
    from torch import Tensor

    from supernets.context import Context
    from supernets.team import Losses, State

CENTER = "center"
"""Of the teacher's answers, (K,): what the state keeps."""

FORGETS = 0.1
"""Share of the center that a step replaces."""


@final
@METHODS.register
@dataclass(frozen=True, kw_only=True)
class ElasticStudent(AbstractMethod):
    """A largest member and a part of it, on answers of averaged weights and on labels.

    Attributes:
        space: What members there are.
        seed: Of the operators' decks.
        sparse_from: First batch in which members other than the largest are pruned.
        labels_share: Of the loss; at 0 nothing is learnt from labels.
        sharpness: By what the teacher's answers are multiplied before they become probabilities.
        least_area: Of the part of an image that a view shows, as a share of it.
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
    """

    space: SearchSpace
    seed: int = 0
    sparse_from: int = 0
    labels_share: float = 0.5
    sharpness: float = 2.0
    least_area: float = 0.4
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        where = "training method 'elastic-student'"
        ranges = {"labels_share": (0.0, 1.0), "sharpness": (1.0, 100.0), "least_area": (0.05, 1.0)}
        check_ranges(self, where, **ranges)

    @property
    def needs_classes(self) -> bool:
        """Its answers stand for classes."""
        return True

    @property
    def needs_average(self) -> bool:
        """For the teacher."""
        return True

    def initial_state(self) -> "State":
        """No answers."""
        assert self.space.network is not None
        return {CENTER: np.zeros(self.space.network.num_classes)}

    def step(self, context: "Context") -> "Losses":
        """Both students; reports the mean of the teacher's answers."""
        from supernets.views import view  # which imports torch

        intact, elastic = self.students(context.turn, context.rng)
        teachers_BCHW, students_BCHW = (
            view(context.images_BCHW, context.rng, least_area=self.least_area) for _ in range(2)
        )
        answers_BK = context.averaged_logits(intact, teachers_BCHW).float()
        center_K = _on_device_of(answers_BK, context.state[CENTER])
        target_BK = (self.sharpness * (answers_BK - center_K)).softmax(-1)
        intact_BK = context.logits(intact, students_BCHW)
        losses = {LARGEST: self._loss(context, intact_BK, [target_BK])}
        losses[LARGEST].backward()
        own_BK = intact_BK.detach().float().softmax(-1)
        elastic_BK = context.logits(elastic, students_BCHW)
        losses[RANDOM] = self._loss(context, elastic_BK, [target_BK, own_BK])
        losses[RANDOM].backward()
        context.report[CENTER] = answers_BK.mean(0).cpu().numpy()
        return read_losses([(role, loss.detach()) for role, loss in losses.items()])

    def fold(self, state: "State", reports: "Sequence[State]") -> "State":
        """Moves the center towards the mean of a step's answers."""
        found_K = np.mean([report[CENTER] for report in reports], axis=0, dtype=np.float64)
        return {CENTER: state[CENTER] + FORGETS * (found_K - state[CENTER])}

    def students(
        self, turn: int, rng: np.random.Generator
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The intact one, and the elastic one: the same operators, no size larger.

        Args:
            turn: Number of the batch.
            rng: Draws sizes.
        """
        is_dense = turn < self.sparse_from
        intact, drawn = (
            self._members.draw(role, turn, rng, is_dense=is_dense) for role in (LARGEST, RANDOM)
        )
        return intact, self._members.part_of(intact, drawn)

    def _loss(
        self, context: "Context", logits_BK: "Tensor", targets: "Sequence[Tensor]"
    ) -> "Tensor":
        """Of a student: the mean of its distances from targets, (B, K) each, and its labels'."""
        from torch.nn.functional import cross_entropy

        apart = [cross_entropy(logits_BK.float(), target_BK) for target_BK in targets]
        loss = sum(apart[1:], apart[0]) / len(apart)
        if not self.labels_share:
            return loss
        return loss.lerp(context.label_loss(logits_BK, context.labels_B), self.labels_share)

    @cached_property
    def _members(self) -> Members:
        return Members(space=self.space, seed=self.seed, is_within=self.is_within)


def _on_device_of(tensor: "Tensor", values_K: np.ndarray) -> "Tensor":
    """An array as fp32 where a tensor is."""
    import torch  # which takes seconds

    return moved(torch.from_numpy(values_K.astype(np.float32)), str(tensor.device))
