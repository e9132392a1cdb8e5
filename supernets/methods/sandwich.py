"""The sandwich rule with in-place distillation.

Each step trains the largest member on the labels and, on its logits too, the smallest member and
some random ones (Yu and Huang, Universally Slimmable Networks, 2019; Yu et al., BigNAS, 2020,
section 3). Departures: "largest" and "smallest" are extremes of the elastic dimensions only.
Operators have no order, so every slot deals its operators to the members of a step from a shuffled
deck, which gives each operator each role equally often. Students learn from labels as well as from
the teacher: schedules of minutes have no time to wait for a good teacher. Training begins shallow:
until `full_from` every stage has its smallest depth and expansion, so that the trunk which all
members share (stem, downsampling, head) learns in many cheap steps before operators that take turns
in deep networks disturb it. Sparsity is sampled once channels have been ranked. Where a budget
leaves out the largest members, nobody trains them: a member beyond it is reduced, one random size
at a time, until it is within, so that the largest of a step is one of the many largest that the
budget allows. The smallest sizes are trained with whatever operators they are dealt.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import final

import numpy as np

from search_spaces import Choice, SearchSpace
from supernets.methods._base import METHODS, AbstractMethod, Lesson

LARGEST, SMALLEST = 0, 1
MORE_IS_SMALLER = (".sparsity", ".sr_ratio")
"""Choices of which more leaves less to compute."""


@final
@METHODS.register
@dataclass(frozen=True, kw_only=True)
class Sandwich(AbstractMethod):
    """Largest, smallest and `num_random` random members per step.

    Attributes:
        space: What members there are.
        seed: Of the operators' decks.
        full_from: First step with members of any depth; before it, one wide and one narrow shallow
            member are trained on labels.
        sparse_from: First step in which members other than the largest are pruned.
        num_random: Random members per step.
        teacher_share: Of the students' loss; the rest is the labels'.
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
    """

    space: SearchSpace
    seed: int = 0
    full_from: int = 0
    sparse_from: int = 0
    num_random: int = 2
    teacher_share: float = 0.5
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def plan(self, step: int, rng: np.random.Generator) -> list[Lesson]:
        """The largest on labels, then smallest and random ones on labels and its logits."""
        is_shallow = step < self.full_from
        lessons = []
        for role in (LARGEST, SMALLEST) if is_shallow else range(2 + self.num_random):
            encoding = self._sizes(role, rng)
            if is_shallow:
                encoding[self._shallow] = self._smallest[self._shallow]
            if step < self.sparse_from:
                encoding[self._sparsity] = 0
            for column, deck in self._decks:
                encoding[column] = self._deal(column, deck, step, role)
            if role != SMALLEST:
                encoding = self._fitted(encoding, rng)
            share = 0.0 if role == LARGEST or is_shallow else self.teacher_share
            lessons.append(Lesson(tuple(encoding.tolist()), share, 1.0))
        return lessons

    def operator_counts(self, steps: int) -> dict[str, dict[str, dict[str, int]]]:
        """As dealt, whether or not the depth of the member reached the slot."""
        counts = {}
        for column, deck in self._decks:
            choice = self.space.choices[column]
            by_role: dict[str, Counter[str]] = {"teacher": Counter(), "student": Counter()}
            for step in range(steps):
                for role in range(2 + self.num_random):
                    operator = choice.options[self._deal(column, deck, step, role)]
                    by_role["teacher" if role == LARGEST else "student"][str(operator)] += 1
            slot = choice.name.rpartition(".")[0]
            counts[slot] = {role: dict(c) for role, c in by_role.items()}
        return counts

    @cached_property
    def _decks(self) -> tuple[tuple[int, int], ...]:
        """Column and number of operators of every slot."""
        return tuple(
            (column, len(self.space.choices[column].options))
            for column in self.space.columns("operator")
        )

    @cached_property
    def _smallest(self) -> np.ndarray:
        return np.array([_extreme(choice, largest=False) for choice in self.space.choices])

    @cached_property
    def _shallow(self) -> list[int]:
        """Columns of the dimensions that start small."""
        return [*self.space.columns("depth"), *self.space.columns("expand_ratio")]

    @cached_property
    def _sparsity(self) -> list[int]:
        return self.space.columns("sparsity")

    def _sizes(self, role: int, rng: np.random.Generator) -> np.ndarray:
        choices = self.space.choices
        if role == LARGEST:
            return np.array([_extreme(choice, largest=True) for choice in choices])
        if role == SMALLEST:
            return self._smallest.copy()
        return self.space.sample(rng, 1)[0]

    def _fitted(self, encoding: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The encoding, with random sizes reduced one by one until it is within the limits."""
        if self.is_within is None:
            return encoding
        rank = {c: order.index(encoding[c]) for c, order in self._sizes_upwards.items()}
        reductions = rng.permutation([c for c, larger in rank.items() for _ in range(larger)])
        chain_NC = np.repeat(encoding[None], len(reductions) + 1, axis=0)
        for n, column in enumerate(reductions, start=1):
            rank[column] -= 1
            chain_NC[n:, column] = self._sizes_upwards[column][rank[column]]
        within_N = self.is_within(chain_NC)
        return chain_NC[int(within_N.argmax()) if within_N.any() else -1]

    @cached_property
    def _sizes_upwards(self) -> dict[int, list[int]]:
        """Of every column of numbers but sparsity: its options, from the smallest network's."""
        return {
            column: _upwards(choice)
            for column, choice in enumerate(self.space.choices)
            if column not in self._sparsity and not _is_named(choice)
        }

    def _deal(self, column: int, deck: int, step: int, role: int) -> int:
        """Operator of one slot: members of a step get successive cards of a shuffled deck."""
        order = _shuffled(self.seed, column, deck, step // deck)
        return order[(step + role) % deck]


@lru_cache(maxsize=4096)
def _shuffled(seed: int, column: int, deck: int, round_number: int) -> tuple[int, ...]:
    rng = np.random.default_rng([seed, column, round_number])
    return tuple(rng.permutation(deck).tolist())


def _extreme(choice: Choice, *, largest: bool) -> int:
    """Option that makes the network largest or smallest; the first one where there is no size."""
    return 0 if _is_named(choice) else _upwards(choice)[-1 if largest else 0]


def _is_named(choice: Choice) -> bool:
    """Whether its options are names, which have no order."""
    return any(isinstance(option, str) for option in choice.options)


def _upwards(choice: Choice) -> list[int]:
    """Options from the one that makes the network smallest: less of it, or more is removed."""
    more_is_smaller = choice.name.endswith(MORE_IS_SMALLER)
    return sorted(
        range(len(choice.options)), key=lambda i: float(choice.options[i]), reverse=more_is_smaller
    )
