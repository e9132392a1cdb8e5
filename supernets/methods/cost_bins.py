"""Members of multiply-adds in given shares: first a bin is drawn, then a member of it.

Most members are of middling cost, and paths of stitched networks that lead there and back more than
others. Drawing the bin first trains all costs as they are wanted.

Source: Pan et al., Stitched ViTs are Flexible Vision Backbones (2024): a bin of FLOPs is drawn by
its probability, then a stitch inside it. Departures: any space has bins, equal on a logarithmic
scale (`supernets/methods/_bins.py`); they take turns in exactly their shares instead of being
drawn; a bin without members has no share; no teacher.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from search_spaces import SearchSpace, UserError, check_ranges
from supernets.methods._base import METHODS, AbstractMethod
from supernets.methods._bins import Bins
from supernets.methods._lessons import RANDOM, Lesson, teach

if TYPE_CHECKING:
    from supernets.context import Context
    from supernets.team import Losses, State

EVEN = "even"


@final
@METHODS.register
@dataclass(frozen=True, kw_only=True)
class CostBins(AbstractMethod):
    """One member a batch, on labels: first its bin of multiply-adds is drawn, then the rest.

    Attributes:
        space: What members there are.
        seed: Of the operators' decks.
        sparse_from: First batch in which members are pruned.
        num_bins: Of multiply-adds.
        bin_shares: How often members of each bin are trained, the cheapest first and in any unit,
            such as "1:2:1"; or "even".
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
    """

    space: SearchSpace
    seed: int = 0
    sparse_from: int = 0
    num_bins: int = 8
    bin_shares: str = EVEN
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        check_ranges(self, "training method 'cost-bins'", num_bins=(1, 64))
        shares = _numbers(self.bin_shares) if self.bin_shares != EVEN else [1.0] * self.num_bins
        is_sum = 0.0 < sum(shares) < float("inf") and min(shares) >= 0.0
        if len(shares) != self.num_bins or not is_sum:
            raise UserError(
                f"training method 'cost-bins': bin_shares is '{self.bin_shares}'. It must be "
                f"'{EVEN}', or as many numbers as there are bins, {self.num_bins}, not all of "
                "them 0, such as 1:2:1 for three. Give as many, or set num_bins."
            )

    def initial_state(self) -> "State":
        """No bin has been trained."""
        return {"trained": np.zeros(self.num_bins, dtype=np.int64)}

    def step(self, context: "Context") -> "Losses":
        """One member, on labels; reports its bin."""
        encoding = self.draw(context.turn, context.rng)
        context.report["bin"] = self.bins.of(np.array([encoding]))[0]
        return teach(context, [Lesson(RANDOM, encoding)])

    def fold(self, state: "State", reports: "Sequence[State]") -> "State":
        """Counts."""
        trained = state["trained"].copy()
        for report in reports:
            trained[int(report["bin"])] += 1
        return {"trained": trained}

    def summary(self, state: "State") -> str:
        """How many members of each bin were trained."""
        return self.bins.told(state["trained"])

    def draw(self, turn: int, rng: np.random.Generator) -> tuple[int, ...]:
        """The member of a batch, by option indices.

        Args:
            turn: Number of the batch.
            rng: Belongs to it.
        """
        is_dense = turn < self.sparse_from
        place = self.bins.in_turn(self.shares(is_dense=is_dense), turn, is_dense=is_dense)
        return self.bins.draw(place, turn, rng, is_dense=is_dense)

    def shares(self, *, is_dense: bool) -> np.ndarray:
        """Of the bins, (num_bins,), in any unit; even if none that is wanted has members."""
        wanted = np.ones(self.num_bins)
        if self.bin_shares != EVEN:
            wanted = np.array(_numbers(self.bin_shares))
        has_some = self.bins.having(is_dense=is_dense)
        return wanted if (wanted * has_some).any() else np.ones(self.num_bins)

    @cached_property
    def bins(self) -> Bins:
        """Of multiply-adds."""
        return Bins(
            space=self.space, number=self.num_bins, seed=self.seed, is_within=self.is_within
        )


def _numbers(text: str) -> list[float]:
    """Those between colons; -1 for what is none."""
    found = []
    for part in text.split(":"):
        try:
            found.append(float(part))
        except ValueError:
            found.append(-1.0)
    return found
