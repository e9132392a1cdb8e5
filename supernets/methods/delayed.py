"""The largest members first and alone; then the range of sizes opens, from the largest on.

What large members have learnt is a start for small ones, which share their weights; trained from
the beginning, small ones hold the large ones back (Annavajjala et al., DεpS: Delayed ε-Shrinking
for Faster Once-For-All Training, 2024). Departures: after the switch a batch trains one member on
labels, as in `sortednet`, instead of four of which three learn from the largest one's answers; in
place of a weight of small members' gradients, which rises from nothing, the smallest size that is
drawn falls from the largest one, because optimizers that normalise a step undo such a weight; and
channels are ordered once, when all training ranks them, and not at the switch.

`supernets/methods/_members.py` says what the largest members are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from search_spaces import SearchSpace, UserError, check_ranges
from supernets.methods._base import METHODS, AbstractMethod
from supernets.methods._lessons import teach
from supernets.methods._members import Members

if TYPE_CHECKING:
    from supernets.context import Context
    from supernets.team import Losses

LATEST = 0.9
"""Share of the training after which all sizes must have been trained."""


@final
@METHODS.register
@dataclass(frozen=True, kw_only=True)
class Delayed(AbstractMethod):
    """Largest members; then members of a growing range of sizes; then of all sizes.

    Attributes:
        space: What members there are.
        seed: Of the operators' decks.
        sparse_from: First batch in which members other than the largest are pruned.
        largest_share: Of the training, in which the largest members are alone.
        opening_share: Of the training, in which the range opens.
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
    """

    space: SearchSpace
    seed: int = 0
    sparse_from: int = 0
    largest_share: float = 0.5
    opening_share: float = 0.1
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        where = "training method 'delayed'"
        check_ranges(self, where, largest_share=(0.0, LATEST), opening_share=(0.0, LATEST))
        if self.largest_share + self.opening_share > LATEST:
            raise UserError(
                f"{where}: largest_share {self.largest_share} and opening_share "
                f"{self.opening_share} are more than {LATEST} of the training together, which "
                "leaves too little to the smallest members. Lower one of them."
            )

    @property
    def phases(self) -> tuple[float, ...]:
        """The largest alone, a growing range, all sizes."""
        return (0.0, self.largest_share, self.largest_share + self.opening_share)

    def opened(self, share_done: float) -> float:
        """Share of the range of sizes that is trained after this share of the training."""
        begun = share_done - self.largest_share
        if begun < 0.0:
            return 0.0
        return min(1.0, begun / self.opening_share) if self.opening_share else 1.0

    def step(self, context: "Context") -> "Losses":
        """One member, on labels."""
        lesson = self._members.in_turn(
            context.turn,
            context.rng,
            is_dense=context.turn < self.sparse_from,
            opened=self.opened(context.share_done),
        )
        return teach(context, [lesson])

    @cached_property
    def _members(self) -> Members:
        return Members(space=self.space, seed=self.seed, is_within=self.is_within)
