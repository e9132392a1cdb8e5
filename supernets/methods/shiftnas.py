"""Members of all costs alike, and rather of those costs whose losses still fall.

Options that are drawn uniformly make networks of middling cost, so that the cheap and the expensive
are trained less (Zhang et al., ShiftNAS: Improving One-shot NAS via Probability Shift, 2023). Here
multiply-adds are divided into bins, equal on a logarithmic scale. What is drawn first is a bin, the
rather the more its members' losses still fall; then multiply-adds within it; then a member that has
them.

Departures: the paper's generator of members is an LSTM that is trained with the supernet and then
gives the network for a budget. Methods keep small arrays only, so random members are changed until
they have the multiply-adds (`Members.draw_near`), which are drawn anew where none comes near them,
and networks are found by a search. How much a bin still learns is the difference between two moving
averages of its losses, over few and over many of them, as a share of the latter. Every bin keeps
`EVEN_SHARE` of an equal part. Bins take turns by multiples of the golden ratio, which are even in
any number of turns.

Costs of a step are planned for even bins: where large members still learn, training takes longer.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from search_spaces import SearchSpace, check_ranges
from supernets.methods._base import METHODS, AbstractMethod
from supernets.methods._lessons import LARGEST, RANDOM, SMALLEST, Lesson, teach
from supernets.methods._members import NEAR, Members

if TYPE_CHECKING:
    from supernets.context import Context
    from supernets.team import Losses, State

EVEN_SHARE = 0.25
"""Of the turns, drawn evenly from all bins: whose loss does not fall now may learn later."""

FORGETS = {"recent": 0.1, "earlier": 0.02}
"""Shares of the moving averages that a new loss replaces."""

TARGETS = 8
"""Multiply-adds that are drawn within a bin until a member comes near; near few there is none."""

EXTREMES = 16
"""Cards whose largest and smallest members say where bins begin and end."""

GOLDEN = (math.sqrt(5) - 1) / 2


@final
@METHODS.register
@dataclass(frozen=True, kw_only=True)
class ShiftNas(AbstractMethod):
    """One member a batch, on labels: first its multiply-adds are drawn, then the rest.

    Attributes:
        space: What members there are.
        seed: Of the operators' decks.
        sparse_from: First batch in which members are pruned.
        num_bins: Of multiply-adds.
        temperature: The fall of the loss, as a share of it, that makes a bin e times as likely.
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
    """

    space: SearchSpace
    seed: int = 0
    sparse_from: int = 0
    num_bins: int = 8
    temperature: float = 0.1
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        where = "training method 'shiftnas'"
        check_ranges(self, where, num_bins=(1, 64), temperature=(0.001, 100.0))

    def initial_state(self) -> "State":
        """No bin has been trained."""
        averages = {name: np.zeros(self.num_bins) for name in FORGETS}
        return {**averages, "trained": np.zeros(self.num_bins, dtype=np.int64)}

    def step(self, context: "Context") -> "Losses":
        """One member, on labels; reports its bin and its loss."""
        encoding = self.draw(context.state, context.turn, context.rng)
        losses = teach(context, [Lesson(RANDOM, encoding)])
        context.report["bin"] = self.bins_of(np.array([encoding]))[0]
        context.report["loss"] = losses[0][1]
        return losses

    def fold(self, state: "State", reports: "Sequence[State]") -> "State":
        """Moves the averages of the bins that were trained, and counts."""
        found = {name: array.copy() for name, array in state.items()}
        for report in reports:
            place, loss = int(report["bin"]), float(report["loss"])
            for name, forgets in FORGETS.items():
                level = found[name][place] if found["trained"][place] else loss
                found[name][place] = level + forgets * (loss - level)
            found["trained"][place] += 1
        return found

    def summary(self, state: "State") -> str:
        """How many members of each bin were trained."""
        ends = 2.0**self.edges / 1e6
        counts = (
            f"{low:.3g}-{high:.3g}: {number}"
            for low, high, number in zip(ends, ends[1:], state["trained"], strict=False)
        )
        return f"members trained, by millions of multiply-adds: {', '.join(counts)}"

    def draw(self, state: "State", turn: int, rng: np.random.Generator) -> tuple[int, ...]:
        """The member of a batch, by option indices.

        Args:
            state: As earlier steps have left it.
            turn: Number of the batch.
            rng: Belongs to it.
        """
        is_dense = turn < self.sparse_from
        lowest = self._lowest(is_dense=is_dense)
        is_possible = self.edges[1:] > lowest
        is_possible[-1] = True
        chances = (self.chances(state) * is_possible).cumsum()
        # Two turns each: processes that share a step have about equally long work.
        position = turn // 2 * GOLDEN % 1.0
        place = int((chances / chances[-1] <= position).sum())
        low, high = self.edges[place : place + 2]
        low = min(max(low, lowest), high)
        found: list[tuple[float, tuple[int, ...]]] = []
        while len(found) < TARGETS and not (found and found[-1][0] <= NEAR):
            macs = 2.0 ** float(rng.uniform(low, high))
            encoding = self._members.draw_near(macs, turn, rng, is_dense=is_dense)
            error = abs(2.0 ** float(self._log_macs([encoding])[0]) / macs - 1.0)
            found.append((error, encoding))
        return min(found)[1]

    def chances(self, state: "State") -> np.ndarray:
        """Probabilities of the bins, (num_bins,)."""
        is_known = (state["trained"] > 0) & (state["earlier"] > 0)
        falls = np.zeros(self.num_bins)
        np.divide(state["recent"], state["earlier"], out=falls, where=is_known)
        falls = np.where(is_known, 1.0 - falls, 0.0)
        falls[~is_known] = falls.max()  # what was never trained has most to learn
        weights = np.exp((falls - falls.max()) / self.temperature)
        return EVEN_SHARE / self.num_bins + (1.0 - EVEN_SHARE) * weights / weights.sum()

    def bins_of(self, encodings_NC: np.ndarray) -> np.ndarray:
        """In which bins members are, the first or the last beyond their ends: (N,)."""
        sizes_N = self._log_macs(encodings_NC)
        return np.searchsorted(self.edges[1:-1], sizes_N, side="right")

    @cached_property
    def edges(self) -> np.ndarray:
        """Where bins begin and end, (num_bins + 1,), as binary logarithms of multiply-adds.

        From the smallest to the largest of some members that decks deal; the largest within limits.
        """
        lowest, highest = self._lowest(is_dense=False), self._sizes(LARGEST).max()
        if self.is_within is not None:
            highest -= math.log2(1 + NEAR)  # as near as members come, they are within the limits
        return np.linspace(lowest, max(lowest, highest), self.num_bins + 1)

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
