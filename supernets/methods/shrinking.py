"""All options first; those that lose to their rivals while it trains are trained no more.

Members take turns as in `sortednet`. The losses of those of random sizes are the evidence;
`supernets/methods/_evidence.py` says who loses, and with what certainty. Until it has lost, an
option is trained as often as its rivals, so that it is not behind for lack of training. Operators
and sizes of blocks compete over the whole network, widths and depths within their stage. What has
lost is left out of the space that is searched.

Costs of a step are planned for all options: where cheap ones lose, training takes longer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from search_spaces import SearchSpace, check_ranges
from supernets.methods._base import METHODS, AbstractMethod
from supernets.methods._evidence import LOOKS, Evidence
from supernets.methods._lessons import RANDOM, SMALLEST, teach
from supernets.methods._members import Members

if TYPE_CHECKING:
    from supernets.context import Context
    from supernets.team import Losses, State

SMALL_MEMBERS = 8
"""One of so many of the smallest members must be within the limits, or nobody loses."""


@final
@METHODS.register
@dataclass(frozen=True, kw_only=True)
class Shrinking(AbstractMethod):
    """Largest, random and smallest members of options that have not lost.

    Attributes:
        space: What members there are at first.
        seed: Of the operators' decks.
        sparse_from: First batch in which members other than the largest are pruned.
        certainty: Probability that all that lose are worse than a rival at equal multiply-adds.
        margin: Share of the loss by which they are worse, at least.
        evidence_from: Share of the training whose losses do not count yet.
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
    """

    space: SearchSpace
    seed: int = 0
    sparse_from: int = 0
    certainty: float = 0.95
    margin: float = 0.05
    evidence_from: float = 0.2
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        where = "training method 'shrinking'"
        ranges = {"certainty": (0.5, 0.9999), "margin": (0.0, 1.0), "evidence_from": (0.0, 0.9)}
        check_ranges(self, where, **ranges)

    def initial_state(self) -> "State":
        """No evidence; every option is trained."""
        return self._evidence.begin()

    def step(self, context: "Context") -> "Losses":
        """One member, on labels; reports the loss of a random one."""
        members = self._members(context.state["trained"])
        is_dense = context.turn < self.sparse_from
        lesson = members.in_turn(context.turn, context.rng, is_dense=is_dense)
        losses = teach(context, [lesson])
        context.report["share_done"] = context.share_done
        if lesson.role == RANDOM:
            context.report["loss"] = losses[0][1]
            context.report["features"] = self._evidence.features(lesson.encoding)
        return losses

    def fold(self, state: "State", reports: "Sequence[State]") -> "State":
        """Adds the evidence and, at every look, leaves out what has lost."""
        share_done = float(reports[-1]["share_done"])
        counts = share_done >= self.evidence_from
        for report in reports:
            if "loss" in report:
                features = report["features"] if counts else None
                state = self._evidence.with_loss(state, float(report["loss"]), features)
        due = (LOOKS + 1) * (share_done - self.evidence_from) / (1.0 - self.evidence_from)
        if due < state["looks"][0] + 1:
            return state
        losers, trained = self._evidence.losers(state), state["trained"]
        if losers.any() and self._is_possible(trained & ~losers):
            trained = trained & ~losers
        return {**state, "trained": trained, "looks": state["looks"] + 1}

    def remaining(self, state: "State") -> SearchSpace:
        """The space without what has lost."""
        options = self._evidence.options(state["trained"])
        choices = self.space.choices
        kept = {choices[c].name: [choices[c].options[i] for i in options[c]] for c in options}
        return self.space.restricted(kept) if kept else self.space

    def _is_possible(self, trained: np.ndarray) -> bool:
        """Whether small members of these options are within the limits, and unpruned ones are."""
        sparsities = [self.space.choices[c].options for c in self.space.columns("sparsity")]
        if any(0.0 not in options for options in sparsities):
            return False
        if self.is_within is None:
            return True
        members, unused = self._members(trained), np.random.default_rng(0)
        rows = [members.draw(SMALLEST, card, unused) for card in range(SMALL_MEMBERS)]
        return bool(self.is_within(np.array(rows)).any())

    def _members(self, trained: np.ndarray) -> Members:
        """Those of the options that are trained."""
        key = trained.tobytes()
        if key not in self._known:
            options = self._evidence.options(trained)
            self._known[key] = Members(
                space=self.space, seed=self.seed, is_within=self.is_within, options=options
            )
        return self._known[key]

    @cached_property
    def _known(self) -> dict[bytes, Members]:
        return {}

    @cached_property
    def _evidence(self) -> Evidence:
        return Evidence(space=self.space, certainty=self.certainty, margin=self.margin)
