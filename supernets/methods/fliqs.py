"""Formats are drawn by a policy that learns while the shared weights do.

A batch trains one member whose weights are rounded as its formats say; formats are drawn by a
policy, an independent softmax per choice. The policy follows the gradient of the expected reward,
quality less a multiple of |cost / target - 1|, and of an entropy that is punished more and more, by
a cosine, so that it is decided when training ends (Dotzel et al., FLIQS: One-Shot Mixed-Precision
Floating-Point and Integer Quantization Search, 2024). First, for a share of the training, only
weights learn. What the policy has given up is left out of the space that is searched. With `joint`
it decides about architecture and sparsity, too.

Departures:

- The quality is 1 - loss / its moving average over members of the same role.
- Costs need no training: their gradient is that of many drawn members instead of the one that was
  trained. The cost is `bit_ops`, as a share of those of the costliest format throughout; with
  `joint`, of the costliest member.
- Steps of the policy are in proportion to the share of the training that has passed, so that long
  and short ones decide alike.
- Weights alone are rounded, see `supernets/methods/_rounding.py`.
- Without `joint`, sizes and operators take turns as in `sortednet`, and all of them remain.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from search_spaces import SearchSpace, check_ranges
from search_spaces._likelihoods import (
    drawn,
    entropy_gradient,
    even_logits,
    likelihoods,
    towards,
)
from search_spaces._treatment import UNTREATED
from supernets.methods._base import METHODS
from supernets.methods._in_turn import AbstractInTurn
from supernets.methods._lessons import LARGEST, RANDOM, SMALLEST, Lesson, teach

if TYPE_CHECKING:
    from supernets.context import Context
    from supernets.team import Losses, State

ROLES = (LARGEST, RANDOM, SMALLEST)
PACE = 1000.0
"""Length of all steps of the policy together, per unit of the gradient."""

FORGETS = 0.05
"""Share of the moving average of losses that a new one replaces."""

DRAWS = 64
"""Members whose costs give the gradient of the expected cost."""

BROOD = 16
"""Members drawn for one that is within the limits."""

RARE = 0.1
"""Of the likelihood that even options have: what has less is given up."""


@final
@METHODS.register
@dataclass(frozen=True, kw_only=True)
class FLIQS(AbstractInTurn):
    """Members in formats that a policy draws, which is decided in the end.

    Attributes:
        space: What members there are at first.
        seed: Of the operators' decks, and of members whose costs are looked at.
        sparse_from: First batch in which members other than the largest are pruned.
        cost_share: Of the `bit_ops` of the costliest format, what is aimed at.
        cost_weight: Of the relative distance from it, in the reward.
        entropy_weight: Of the policy's entropy, at the end of the training.
        policy_from: Share of the training before which the policy does not learn.
        joint: Whether the policy decides about architecture and sparsity, too.
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
    """

    space: SearchSpace
    seed: int = 0
    sparse_from: int = 0
    cost_share: float = 0.5
    cost_weight: float = 1.0
    entropy_weight: float = 0.03
    policy_from: float = 0.25
    joint: bool = False
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "training method 'fliqs'",
            cost_share=(0.01, 1.0),
            cost_weight=(0.0, 100.0),
            entropy_weight=(0.0, 100.0),
            policy_from=(0.0, 0.9),
        )

    def initial_state(self) -> "State":
        """Every option is equally likely."""
        return {
            "logits": even_logits(self.space),
            "levels": np.zeros(len(ROLES)),
            "share_done": np.zeros(1),
            "folded": np.zeros(1, dtype=np.int64),
        }

    def step(self, context: "Context") -> "Losses":
        """One member, on labels, with rounded weights; reports what it was and its loss."""
        from supernets.methods._rounding import bits_of_format, offsets, rounding_error

        lesson = self._lesson(context)
        with context.moved(offsets(context, lesson.encoding, bits_of_format, rounding_error)):
            losses = teach(context, [lesson])
        context.report.update(
            share_done=context.share_done,
            role=ROLES.index(lesson.role),
            loss=losses[0][1],
            encoding=np.array(lesson.encoding),
        )
        return losses

    def fold(self, state: "State", reports: "Sequence[State]") -> "State":
        """A step of the policy along its gradient, once it learns."""
        share_done = float(reports[-1]["share_done"])
        passed = share_done - float(state["share_done"][0])
        levels = state["levels"].copy()
        gradient_CO = np.zeros_like(state["logits"])
        for report in reports:
            role, loss = int(report["role"]), float(report["loss"])
            if levels[role]:
                quality = 1.0 - loss / levels[role]
                likelier_CO = self._towards(state["logits"], report["encoding"][None])[0]
                gradient_CO += quality * likelier_CO / len(reports)
            levels[role] += (FORGETS if levels[role] else 1.0) * (loss - levels[role])
        logits_CO = state["logits"]
        if share_done >= self.policy_from:
            gradient_CO += self._gradient_of_cost(state, [r["encoding"] for r in reports])
            gradient_CO -= self._punished(share_done) * self._of_policy(entropy_gradient(logits_CO))
            logits_CO = logits_CO + PACE * passed / (1.0 - self.policy_from) * gradient_CO
        return {
            "logits": logits_CO,
            "levels": levels,
            "share_done": np.array([share_done]),
            "folded": state["folded"] + 1,
        }

    def remaining(self, state: "State") -> SearchSpace:
        """The space without options that the policy has given up."""
        likelihood_CO = likelihoods(state["logits"])
        kept = {}
        for column in np.flatnonzero(self._is_decided):
            choice = self.space.choices[column]
            least = RARE / len(choice.options)
            left = [
                option
                for number, option in enumerate(choice.options)
                if likelihood_CO[column, number] >= least or self._must_stay(choice.name, number)
            ]
            if len(left) < len(choice.options):
                kept[choice.name] = left
        return self.space.restricted(kept) if kept else self.space

    def cost_shares(self, encodings_NC: np.ndarray) -> np.ndarray:
        """The cost that is aimed at, of every encoding: (N,)."""
        assert self.space.costs is not None
        cost_N = self.space.costs.of("bit_ops", encodings_NC)
        if self.joint:
            return cost_N / self.space.costs.maximum("bit_ops")[0]
        throughout = (
            self.space.costs.of("bit_ops", self.space.in_precision(encodings_NC, precision))
            for precision in self.space.precisions
        )
        return np.asarray(cost_N / np.max(list(throughout), axis=0))

    def _lesson(self, context: "Context") -> Lesson:
        """A member in formats that the policy draws; with `joint`, one that it draws altogether."""
        lesson = self._in_turn(context)
        rows_NC = np.repeat([lesson.encoding], BROOD if self.joint else 1, axis=0)
        drawn_NC = drawn(context.state["logits"], len(rows_NC), context.rng)
        rows_NC = np.where(self._is_decided, drawn_NC, rows_NC)
        if not self.joint:
            return lesson._replace(encoding=tuple(rows_NC[0].tolist()))
        if context.turn < self.sparse_from:
            rows_NC[:, self.space.columns("sparsity")] = 0
        if self.is_within is not None:
            rows_NC = rows_NC[self.is_within(rows_NC)]
        encoding = tuple(rows_NC[0].tolist()) if len(rows_NC) else lesson.encoding
        return Lesson(RANDOM, encoding)

    def _gradient_of_cost(self, state: "State", trained: Sequence[np.ndarray]) -> np.ndarray:
        """Of minus the expected distance from the cost that is aimed at, by logits: (C, O).

        Args:
            state: Whose policy draws.
            trained: Encodings, of which what the policy does not decide is taken.
        """
        rng = np.random.default_rng([self.seed, 7, int(state["folded"][0])])
        rows_NC = np.array([trained[n % len(trained)] for n in range(DRAWS)])
        rows_NC = np.where(self._is_decided, drawn(state["logits"], DRAWS, rng), rows_NC)
        distance_N = np.abs(self.cost_shares(rows_NC) / self.cost_share - 1.0)
        surplus_N = distance_N - distance_N.mean()
        likelier_NCO = self._towards(state["logits"], rows_NC)
        return -self.cost_weight * np.einsum("n,nco->co", surplus_N, likelier_NCO) / DRAWS

    def _towards(self, logits_CO: np.ndarray, encodings_NC: np.ndarray) -> np.ndarray:
        """Gradients of the logarithm of encodings' likelihood, by what the policy decides."""
        is_active_NC = self.space.is_active(encodings_NC)
        return towards(logits_CO, encodings_NC, is_active_NC & self._is_decided)

    def _of_policy(self, gradient_CO: np.ndarray) -> np.ndarray:
        """A gradient without choices that the policy does not decide."""
        return np.where(self._is_decided[:, None], gradient_CO, 0.0)

    def _punished(self, share_done: float) -> float:
        """Weight of the entropy: a cosine from 0 to its end."""
        done = (share_done - self.policy_from) / (1.0 - self.policy_from)
        return self.entropy_weight * 0.5 * (1.0 - float(np.cos(np.pi * done)))

    def _must_stay(self, name: str, option: int) -> bool:
        """Networks that are not pruned, and one that was brought but for its format."""
        if name.endswith(".precision"):
            return False
        return option == 0 and (name.endswith(".sparsity") or self.space.is_brought)

    @cached_property
    def _is_decided(self) -> np.ndarray:
        """Which choices the policy decides: booleans, (C,).

        Patterns and ranks it does not: they change nothing in training.
        """
        dimensions = [choice.name.rpartition(".")[2] for choice in self.space.choices]
        if self.joint:
            return np.array([dimension not in UNTREATED for dimension in dimensions])
        return np.array([dimension == "precision" for dimension in dimensions])
