"""Two members of different kinds teach each other, image by image: the surer one the other.

A network of convolutions and one of attention learn different things from the same images, and each
is a teacher where it is the more reliable one (Zhu et al., A Good Student is Cooperative and
Reliable: CNN-Transformer Collaborative Learning for Semantic Segmentation, 2023). Both learn from
labels; of each image, the member whose loss is larger learns from the other's answers, and its low
features become like the other's. No gradient goes to the member that teaches.

Departures: the paper's direction is chosen by region and pixel of a segmentation, here by image,
the one whole that is classified; reliability is the loss on the image's label. Low features are
those of the first half of the slots in which both have maps of one shape, compared by cosines, and
only those of the unreliable member move. Members of a batch have equal sizes, as far as limits let
them. Where no slot offers convolutions and others, the two are dealt different operators.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from search_spaces import SearchSpace, check_ranges
from supernets.methods._base import METHODS, AbstractMethod
from supernets.methods._kinds import Kinds
from supernets.methods._lessons import read_losses
from supernets.methods._members import TURNS

if TYPE_CHECKING:
    from torch import Tensor

    from supernets.context import Context
    from supernets.team import Losses

SEEDS = 2**32


@final
@METHODS.register
@dataclass(frozen=True, kw_only=True)
class Mutual(AbstractMethod):
    """A member of convolutions and another one, on labels and on each other.

    Attributes:
        space: What members there are.
        seed: Of the operators' decks.
        sparse_from: First batch in which members other than the largest are pruned.
        teacher_share: Of a member's loss; the rest is the labels'.
        mimicry: Factor of the loss between low features, beside both.
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
    """

    space: SearchSpace
    seed: int = 0
    sparse_from: int = 0
    teacher_share: float = 0.5
    mimicry: float = 0.1
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        where = "training method 'mutual'"
        check_ranges(self, where, teacher_share=(0.0, 1.0), mimicry=(0.0, 100.0))

    def step(self, context: "Context") -> "Losses":
        """Both members; their losses on labels."""
        features = [
            context.features(encoding, context.images_BCHW) for encoding in self._pair(context)
        ]
        logits = [list(found.values())[-1] for found in features]
        errors_B = [context.image_losses(logits_BK, context.labels_B) for logits_BK in logits]
        losses, terms = [], []
        for own, other in ((0, 1), (1, 0)):
            learns_B = errors_B[own] > errors_B[other]
            loss = context.label_loss(logits[own], context.labels_B)
            answers, answers_of_teacher = taught(logits[own], logits[other], learns_B)
            distilled = context.distillation_loss(answers, answers_of_teacher)
            terms.append(loss.lerp(distilled, self.teacher_share))
            if self.mimicry:
                terms.append(self.mimicry * mimicked(features[own], features[other], learns_B))
            losses.append((self._kinds.names[own], loss.detach()))
        sum(terms[1:], terms[0]).backward()
        return read_losses(losses)

    def _pair(self, context: "Context") -> list[tuple[int, ...]]:
        card, place = divmod(context.turn, len(TURNS))
        is_dense = context.turn < self.sparse_from
        seed = int(context.rng.integers(SEEDS))
        return [
            self._kinds.draw(
                *(kind, TURNS[place], card, np.random.default_rng(seed)),
                place=place,
                is_dense=is_dense,
            )
            for kind in (0, 1)
        ]

    @cached_property
    def _kinds(self) -> Kinds:
        return Kinds(space=self.space, seed=self.seed, is_within=self.is_within)


def taught(own_BK: "Tensor", other_BK: "Tensor", learns_B: "Tensor") -> tuple["Tensor", "Tensor"]:
    """Outputs of a student, and of its teacher, such that only some images teach.

    Others have the student's own outputs on both sides, without gradients.

    Args:
        own_BK: Outputs of the student.
        other_BK: Outputs of the teacher.
        learns_B: Which images teach, booleans.
    """
    learns = learns_B.reshape(-1, *(1 for _ in own_BK.shape[1:]))
    fixed_BK = own_BK.detach()
    return own_BK.where(learns, fixed_BK), other_BK.detach().where(learns, fixed_BK)


def mimicked(
    own: Mapping[str, "Tensor"], other: Mapping[str, "Tensor"], learns_B: "Tensor"
) -> "Tensor":
    """How far low features of a member are from another's, of images that teach; a scalar.

    The mean, over slots and images, of 1 less the cosine; 0 where no maps have one shape.

    Args:
        own: Features by slot, the logits last.
        other: Likewise; no gradient goes there.
        learns_B: Which images teach, booleans.
    """
    from torch.nn.functional import cosine_similarity  # which takes seconds

    *places, _ = own
    equal = [name for name in places if name in other and own[name].shape == other[name].shape]
    low = equal[: -(-len(equal) // 2)]
    apart_B = learns_B.float() * 0.0
    for name in low:
        own_BF, other_BF = (x.float().flatten(1) for x in (own[name], other[name].detach()))
        apart_B = apart_B + (1.0 - cosine_similarity(own_BF, other_BF)) / len(low)
    return (apart_B * learns_B).mean()
