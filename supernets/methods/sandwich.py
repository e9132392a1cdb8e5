"""The sandwich rule with in-place distillation.

Each batch trains the largest member on the labels and, on its logits too, the smallest member and
some random ones (Yu and Huang, Universally Slimmable Networks, 2019; Yu et al., BigNAS, 2020,
section 3). Departures: `supernets/methods/_members.py` says what largest and smallest are. Students
learn from labels as well as from the teacher: schedules of minutes have no time to wait for a good
teacher.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from search_spaces import SearchSpace, check_ranges
from supernets.methods._base import METHODS
from supernets.methods._lessons import LARGEST, RANDOM, SMALLEST, AbstractLessons, Lesson
from supernets.methods._members import Members

MOST_RANDOM = 64


@final
@METHODS.register
@dataclass(frozen=True, kw_only=True)
class Sandwich(AbstractLessons):
    """Largest, smallest and `num_random` random members per batch.

    Attributes:
        space: What members there are.
        seed: Of the operators' decks.
        sparse_from: First batch in which members other than the largest are pruned.
        num_random: Random members per batch.
        teacher_share: Of the students' loss; the rest is the labels'.
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
    """

    space: SearchSpace
    seed: int = 0
    sparse_from: int = 0
    num_random: int = 2
    teacher_share: float = 0.5
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        where = "training method 'sandwich'"
        check_ranges(self, where, num_random=(0, MOST_RANDOM), teacher_share=(0.0, 1.0))

    def plan(self, turn: int, rng: np.random.Generator) -> list[Lesson]:
        """The largest on labels, then smallest and random ones on labels and its logits."""
        is_dense = turn < self.sparse_from
        roles = [LARGEST, SMALLEST, *[RANDOM] * self.num_random]
        lessons = []
        for place, role in enumerate(roles):
            encoding = self._members.draw(role, turn, rng, place=place, is_dense=is_dense)
            share = 0.0 if role == LARGEST else self.teacher_share
            lessons.append(Lesson(role, encoding, share))
        return lessons

    @cached_property
    def _members(self) -> Members:
        return Members(space=self.space, seed=self.seed, is_within=self.is_within)
