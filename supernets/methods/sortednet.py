"""One member a batch, on labels: members take turns over batches, not within one.

Members are nested prefixes, and the gradients of several random ones add up before the optimizer
steps (Valipour et al., SortedNet, 2023): here those of the batches of one step. Departures: every
second member has random sizes, and between them the largest and the smallest take turns, as in the
sandwich rule, so that the ends of the space are trained; `supernets/methods/_members.py` says what
largest and smallest are.

Where a sandwich looks at each image with four members, this looks at four times as many images in
the same time, which is worth more as long as the images are new; and no member waits for a teacher,
so that processes can share a step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from search_spaces import SearchSpace
from supernets.methods._base import METHODS
from supernets.methods._lessons import AbstractLessons, Lesson
from supernets.methods._members import Members


@final
@METHODS.register
@dataclass(frozen=True, kw_only=True)
class SortedNet(AbstractLessons):
    """Largest, random, smallest, random members, and so on, each twice.

    Attributes:
        space: What members there are.
        seed: Of the operators' decks.
        sparse_from: First batch in which members other than the largest are pruned.
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
    """

    space: SearchSpace
    seed: int = 0
    sparse_from: int = 0
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def plan(self, turn: int, rng: np.random.Generator) -> list[Lesson]:
        """One member, on labels."""
        return [self._members.in_turn(turn, rng, is_dense=turn < self.sparse_from)]

    @cached_property
    def _members(self) -> Members:
        return Members(space=self.space, seed=self.seed, is_within=self.is_within)
