"""Members by their multiply-adds: bins of equal parts on a logarithmic scale, and draws within one.

Where names alone decide about members that are not pruned, as paths of a stitched network do, and
there are few of them, all are listed, and each of a bin is drawn as often. Elsewhere multiply-adds
are drawn within the bin, and random members are changed until they have them
(`Members.draw_near`); they are drawn anew where none comes near them.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from search_spaces import SearchSpace
from supernets.methods._lessons import LARGEST, SMALLEST
from supernets.methods._members import NEAR, Members

TARGETS = 8
"""Multiply-adds that are drawn within a bin until a member comes near; near few there is none."""

EXTREMES = 16
"""Cards whose largest and smallest members say where bins begin and end."""

MOST_LISTED = 4096

GOLDEN = (math.sqrt(5) - 1) / 2


@final
@dataclass(frozen=True, kw_only=True)
class Bins:
    """Bins of a space's members.

    Attributes:
        space: What members there are.
        number: Of bins.
        seed: Of the operators' decks.
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
    """

    space: SearchSpace
    number: int
    seed: int = 0
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def in_turn(self, chances: np.ndarray, turn: int, *, is_dense: bool) -> int:
        """The bin of a batch: they take turns by multiples of the golden ratio.

        These are even in any number of turns. Two turns each: processes that share a step have
        about equally long work.

        Args:
            chances: Of bins, in any unit; of those without members they do not count.
            turn: Number of the batch.
            is_dense: Whether members are not pruned.
        """
        chances = (chances * self.having(is_dense=is_dense)).cumsum()
        position = turn // 2 * GOLDEN % 1.0
        return int((chances / chances[-1] <= position).sum())

    def draw(
        self, place: int, turn: int, rng: np.random.Generator, *, is_dense: bool
    ) -> tuple[int, ...]:
        """A member of a bin, by option indices; near it where it has none.

        Args:
            place: Number of the bin.
            turn: Number of the batch, which deals operators.
            rng: Belongs to the batch.
            is_dense: Whether nothing of it may be pruned.
        """
        if is_dense and self._listed is not None:
            rows_NC = self._listed[self.of(self._listed) == place]
            return tuple(rows_NC[rng.integers(len(rows_NC))].tolist())
        low, high = self.edges[place : place + 2]
        low = min(max(low, self._lowest(is_dense=is_dense)), high)
        found: list[tuple[float, tuple[int, ...]]] = []
        while len(found) < TARGETS and not (found and found[-1][0] <= NEAR):
            macs = 2.0 ** float(rng.uniform(low, high))
            encoding = self._members.draw_near(macs, turn, rng, is_dense=is_dense)
            error = abs(2.0 ** float(self._log_macs([encoding])[0]) / macs - 1.0)
            found.append((error, encoding))
        return min(found)[1]

    def having(self, *, is_dense: bool) -> np.ndarray:
        """Which bins have members: booleans, (number,)."""
        if is_dense and self._listed is not None:
            return np.isin(np.arange(self.number), self.of(self._listed))
        has_some = self.edges[1:] > self._lowest(is_dense=is_dense)
        has_some[-1] = True
        return has_some

    def of(self, encodings_NC: np.ndarray) -> np.ndarray:
        """In which bins members are, the first or the last beyond their ends: (N,)."""
        sizes_N = self._log_macs(encodings_NC)
        return np.searchsorted(self.edges[1:-1], sizes_N, side="right")

    def told(self, trained: np.ndarray) -> str:
        """A line that says how many members of each bin were trained."""
        ends = 2.0**self.edges / 1e6
        counts = (
            f"{low:.3g}-{high:.3g}: {number}"
            for low, high, number in zip(ends, ends[1:], trained, strict=False)
        )
        return f"members trained, by millions of multiply-adds: {', '.join(counts)}"

    @cached_property
    def edges(self) -> np.ndarray:
        """Where bins begin and end, (number + 1,), as binary logarithms of multiply-adds.

        From the smallest to the largest of those that are listed and of some members that decks
        deal; the largest within limits.
        """
        lowest, highest = self._lowest(is_dense=False), self._sizes(LARGEST).max()
        if self._listed is not None:
            sizes_N = self._log_macs(self._listed)
            lowest, highest = min(lowest, sizes_N.min()), sizes_N.max()
        elif self.is_within is not None:
            highest -= math.log2(1 + NEAR)  # as near as members come, they are within the limits
        return np.linspace(lowest, max(lowest, highest), self.number + 1)

    @cached_property
    def _listed(self) -> np.ndarray | None:
        """All members that are not pruned and within the limits, (N, C), if names decide alone."""
        policy = set(self.space.policy_columns)
        sizes = [
            1 if column in policy else size for column, size in enumerate(self.space.cardinalities)
        ]
        choices = (c for column, c in enumerate(self.space.choices) if column not in policy)
        is_named = all(isinstance(choice.options[0], str) for choice in choices)
        if not is_named or math.prod(sizes) > MOST_LISTED:
            return None
        rows_NC = np.array(list(itertools.product(*map(range, sizes))), int)
        rows_NC = np.unique(self.space.canonical_many(rows_NC), axis=0)
        if self.is_within is not None:
            rows_NC = rows_NC[self.is_within(rows_NC)]
        return rows_NC if len(rows_NC) else None

    def _lowest(self, *, is_dense: bool) -> float:
        if is_dense not in self._known:
            self._known[is_dense] = float(self._sizes(SMALLEST, is_dense=is_dense).min())
        return self._known[is_dense]

    def _sizes(self, role: str, *, is_dense: bool = False) -> np.ndarray:
        """Binary logarithms of multiply-adds of members that decks deal."""
        rng, draw = np.random.default_rng(self.seed), self._members.draw
        rows = [draw(role, card, rng, is_dense=is_dense) for card in range(EXTREMES)]
        return self._log_macs(rows)

    def _log_macs(self, encodings: "np.ndarray | Sequence[Sequence[int]]") -> np.ndarray:
        assert self.space.costs is not None
        return np.log2(self.space.costs.of("macs", np.asarray(encodings)))

    @cached_property
    def _known(self) -> dict[bool, float]:
        return {}

    @cached_property
    def _members(self) -> Members:
        return Members(space=self.space, seed=self.seed, is_within=self.is_within)
