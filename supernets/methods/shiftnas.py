"""Members of all costs alike, and rather of those costs whose losses still fall.

Options that are drawn uniformly make networks of middling cost, so that the cheap and the expensive
are trained less (Zhang et al., ShiftNAS: Improving One-shot NAS via Probability Shift, 2023). Here
multiply-adds are divided into bins, equal on a logarithmic scale. What is drawn first is a bin, the
rather the more its members' losses still fall; then a member of it (`supernets/methods/_bins.py`).

Departures: the paper's generator of members is an LSTM that is trained with the supernet and then
gives the network for a budget. Methods keep small arrays only, so random members are changed until
they have the multiply-adds, and networks are found by a search. How much a bin still learns is the
difference between two moving averages of its losses, over few and over many of them, as a share of
the latter. Every bin keeps `EVEN_SHARE` of an equal part.

Costs of a step are planned for even bins: where large members still learn, training takes longer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from search_spaces import SearchSpace, check_ranges
from supernets.methods._base import METHODS, AbstractMethod
from supernets.methods._bins import Bins
from supernets.methods._lessons import RANDOM, Lesson, teach

if TYPE_CHECKING:
    from supernets.context import Context
    from supernets.team import Losses, State

EVEN_SHARE = 0.25
"""Of the turns, drawn evenly from all bins: whose loss does not fall now may learn later."""

FORGETS = {"recent": 0.1, "earlier": 0.02}
"""Shares of the moving averages that a new loss replaces."""


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
        context.report["bin"] = self.bins.of(np.array([encoding]))[0]
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
        return self.bins.told(state["trained"])

    def draw(self, state: "State", turn: int, rng: np.random.Generator) -> tuple[int, ...]:
        """The member of a batch, by option indices.

        Args:
            state: As earlier steps have left it.
            turn: Number of the batch.
            rng: Belongs to it.
        """
        is_dense = turn < self.sparse_from
        place = self.bins.in_turn(self.chances(state), turn, is_dense=is_dense)
        return self.bins.draw(place, turn, rng, is_dense=is_dense)

    def chances(self, state: "State") -> np.ndarray:
        """Probabilities of the bins, (num_bins,)."""
        is_known = (state["trained"] > 0) & (state["earlier"] > 0)
        falls = np.zeros(self.num_bins)
        np.divide(state["recent"], state["earlier"], out=falls, where=is_known)
        falls = np.where(is_known, 1.0 - falls, 0.0)
        falls[~is_known] = falls.max()  # what was never trained has most to learn
        weights = np.exp((falls - falls.max()) / self.temperature)
        return EVEN_SHARE / self.num_bins + (1.0 - EVEN_SHARE) * weights / weights.sum()

    @cached_property
    def bins(self) -> Bins:
        """Of multiply-adds."""
        return Bins(
            space=self.space, number=self.num_bins, seed=self.seed, is_within=self.is_within
        )
