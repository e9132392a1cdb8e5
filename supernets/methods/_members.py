"""Drawing members of a supernet for training: extremes of the elastic dimensions, dealt operators.

"Largest" and "smallest" are extremes of the elastic dimensions only. Operators have no order, so
every slot deals its operators from a shuffled deck, which gives each operator each role equally
often. The stem deals its strides, too: networks that keep the resolution are few within a budget,
and would hardly be trained. Where a budget leaves out the largest members, nobody trains them: a
member beyond it is reduced, one random size at a time, until it is within, so that the largest of a
batch is one of the many largest that the budget allows. The smallest sizes are trained with
whatever operators they are dealt. Sparsity is sampled once channels have been ranked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import final

import numpy as np

from search_spaces import Choice, SearchSpace
from supernets.methods._lessons import LARGEST, SMALLEST

MORE_IS_SMALLER = (".sparsity", ".sr_ratio")
"""Choices of which more leaves less to compute."""


@final
@dataclass(frozen=True, kw_only=True)
class Members:
    """Draws the members that training methods train.

    Attributes:
        space: What members there are.
        seed: Of the operators' decks.
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
    """

    space: SearchSpace
    seed: int = 0
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def draw(
        self,
        role: str,
        card: int,
        rng: np.random.Generator,
        *,
        place: int = 0,
        is_dense: bool = False,
    ) -> tuple[int, ...]:
        """One member, by option indices.

        Args:
            role: "largest", "smallest", or "random" for random sizes.
            card: Number of the card that every slot deals; successive ones are other operators.
            rng: Draws sizes.
            place: Among members that are dealt at the same time, which have other operators each.
            is_dense: Whether nothing of it may be pruned.
        """
        encoding = self._sizes(role, rng)
        if is_dense:
            encoding[self._sparsity] = 0
        for column, deck in self._decks:
            order = _shuffled(self.seed, column, deck, card // deck)
            encoding[column] = order[(card + place) % deck]
        if role != SMALLEST:
            encoding = self._fitted(encoding, rng)
        return tuple(encoding.tolist())

    @cached_property
    def _decks(self) -> tuple[tuple[int, int], ...]:
        """Columns of what is dealt, and how many options each has."""
        dealt = [*self.space.columns("operator"), *self.space.columns("stride")]
        return tuple((column, len(self.space.choices[column].options)) for column in dealt)

    @cached_property
    def _sparsity(self) -> list[int]:
        return self.space.columns("sparsity")

    def _sizes(self, role: str, rng: np.random.Generator) -> np.ndarray:
        if role not in (LARGEST, SMALLEST):
            return self.space.sample(rng, 1)[0]
        return np.array([_extreme(x, largest=role == LARGEST) for x in self.space.choices])

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
        """Of every column of sizes but sparsity: its options, from the smallest network's."""
        fixed = {*self._sparsity, *(column for column, _ in self._decks)}
        return {
            column: _upwards(choice)
            for column, choice in enumerate(self.space.choices)
            if column not in fixed and not _is_named(choice)
        }


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
