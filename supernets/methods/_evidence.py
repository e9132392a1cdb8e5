"""Which options lose to their rivals, by the losses of random members that batches report.

A loss, divided by the moving average of losses before it, is regressed on the member's size and
on how much of it each option is. Size is the logarithm of multiply-adds and its square, so an
option's effect is what it adds to the loss *at equal multiply-adds*. An option loses if its effect
is beyond that of a rival by more than a margin, with a one-sided bound that holds for all pairs of
rivals and all looks together (Bonferroni). What loses is out for good (successive elimination:
Even-Dar et al., Action Elimination and Stopping Conditions, 2006).

Departures: bounds are those of a ridge regression with normal errors. Losses of successive batches
are taken for independent, and an option's effect for one number over all that has been looked at.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING, final

import numpy as np

from search_spaces import SearchSpace, is_policy

if TYPE_CHECKING:
    from supernets.team import State

LOOKS = 10
"""How often it is asked who has lost."""

NUM_COMMON = 3
"""Features beside the options': one, size and its square."""

RIDGE = 1.0
FORGETS = 0.05
"""Share of the moving average that a new loss replaces."""

ROWS_PER_FEATURE = 2
"""Losses that there must be before anybody loses."""


@dataclass(frozen=True)
class Rivals:
    """Options of one choice, or of a choice that several slots have, in all of them.

    Attributes:
        columns: Of the choices, which offer the same options.
        first: Place of the first option among those of all rivals.
        number: Of options.
    """

    columns: tuple[int, ...]
    first: int
    number: int


@final
@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Sums from which effects of options follow; they live in a method's state.

    Attributes:
        space: Whose options compete. Those of policies do not, nor those of a network that was
            brought: it has the first ones, and is measured and teaches whatever others learn.
        certainty: Probability that all that lose are worse than a rival at equal multiply-adds.
        margin: Share of the loss by which they are worse, at least.
    """

    space: SearchSpace
    certainty: float
    margin: float

    def begin(self) -> "State":
        """No losses; every option is trained."""
        options = self._num_options
        features = NUM_COMMON + options
        return {
            "trained": np.ones(options, dtype=bool),
            "gram": np.zeros((features, features)),
            "moment": np.zeros(features),
            "squares": np.zeros(1),
            "count": np.zeros(1, dtype=np.int64),
            "level": np.zeros(1),
            "looks": np.zeros(1, dtype=np.int64),
        }

    def features(self, encoding: Sequence[int]) -> np.ndarray:
        """One, size, its square, and how much of a member every option is: (F,)."""
        row = np.array([encoding])
        active = self.space.is_active(row)[0]
        size = self._size(encoding) - self._middle_size
        shares = np.zeros(self._num_options)
        for rivals in self.rivals:
            columns = [column for column in rivals.columns if active[column]]
            for column in columns:
                shares[rivals.first + encoding[column]] += 1 / len(columns)
        return np.concatenate([[1.0, size, size**2], shares])

    def with_loss(self, state: "State", loss: float, features: np.ndarray | None) -> "State":
        """The state after a loss; without features it counts for the moving average only."""
        level = float(state["level"][0])
        found = {**state, "level": np.array([level + FORGETS * (loss - level) if level else loss])}
        if features is not None and level:
            y = loss / level - 1
            found["gram"] = state["gram"] + np.outer(features, features)
            found["moment"] = state["moment"] + y * features
            found["squares"] = state["squares"] + y**2
            found["count"] = state["count"] + 1
        return found

    def losers(self, state: "State") -> np.ndarray:
        """Which options lose now, of those that are trained: booleans, (O,)."""
        num_features = len(state["moment"])
        count, has_lost = int(state["count"][0]), np.zeros(self._num_options, dtype=bool)
        if not self.rivals or count < ROWS_PER_FEATURE * num_features:
            return has_lost
        inverse = np.linalg.inv(state["gram"] + RIDGE * np.eye(num_features))
        effects = inverse @ state["moment"]
        residual = state["squares"][0] - effects @ (2 * state["moment"] - state["gram"] @ effects)
        variance = max(0.0, residual) / (count - num_features)
        for rivals in self.rivals:
            places = range(rivals.first, rivals.first + rivals.number)
            trained = [place for place in places if state["trained"][place]]
            for one in trained:
                for other in trained:
                    a, b = NUM_COMMON + one, NUM_COMMON + other
                    spread = inverse[a, a] + inverse[b, b] - 2 * inverse[a, b]
                    bound = self._deviations * math.sqrt(max(0.0, variance * spread))
                    has_lost[one] |= effects[a] - effects[b] > self.margin + bound
        return has_lost

    def options(self, trained: np.ndarray) -> Mapping[int, tuple[int, ...]]:
        """Options that are trained, by column, of the choices that have lost some."""
        found: dict[int, tuple[int, ...]] = {}
        for rivals in self.rivals:
            kept = np.flatnonzero(trained[rivals.first : rivals.first + rivals.number])
            if len(kept) < rivals.number:
                found |= dict.fromkeys(rivals.columns, tuple(kept.tolist()))
        return found

    @cached_property
    def rivals(self) -> tuple[Rivals, ...]:
        """All options that compete."""
        if self.space.is_brought:
            return ()
        assert self.space.tables is not None
        of_slots = {column for slot in self.space.tables.slots for column in slot.own}
        groups: dict[tuple[object, ...], list[int]] = {}
        for column, choice in enumerate(self.space.choices):
            if len(choice.options) > 1 and not is_policy(choice.name):
                dimension = choice.name.rpartition(".")[2]
                key = (dimension, choice.options) if column in of_slots else (choice.name,)
                groups.setdefault(key, []).append(column)
        found, first = [], 0
        for columns in groups.values():
            number = self.space.cardinalities[columns[0]]
            found.append(Rivals(tuple(columns), first, number))
            first += number
        return tuple(found)

    @cached_property
    def _num_options(self) -> int:
        return sum(rivals.number for rivals in self.rivals)

    @cached_property
    def _deviations(self) -> float:
        """Standard deviations of the bound."""
        pairs = sum(rivals.number * (rivals.number - 1) for rivals in self.rivals)
        return NormalDist().inv_cdf(1 - (1 - self.certainty) / (LOOKS * pairs))

    @cached_property
    def _middle_size(self) -> float:
        return self._size([number // 2 for number in self.space.cardinalities])

    def _size(self, encoding: Sequence[int]) -> float:
        assert self.space.costs is not None
        return math.log2(self.space.costs.of("macs", np.array([encoding]))[0])
