"""Conservative explorer: a member of the front, changed in a small part by what was learnt.

Zhou et al., Auto-GNN: Neural Architecture Search of Graph Neural Networks (2019): the best
architecture so far is kept, one class of its choices is redrawn by a policy, and the class is the
one whose policy is least decided. Here a class is a dimension, such as "kernel_size" or
"precision", over the whole network. Where we depart:

- The best is a front: each proposal changes one of its members, drawn at random.
- Of a class few choices are redrawn, not all: it has one for every block of a network.
- Policies are independent softmaxes, as in `reinforce`, not recurrent networks; the class is drawn
  in proportion to its mean entropy instead of by the largest.
- A trial teaches the options in which it differs from the nearest member of the front before it.
- Weights are not inherited from an architecture to the next: candidates have those of a supernet,
  in which operators and norms that differ share none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np

from nas.controllers._base import CONTROLLERS
from nas.controllers._folding import AbstractFolding
from nas.controllers._reward import reward
from nas.controllers._variation import spread
from nas.problem.feasible import repair
from nas.problem.pareto import non_dominated
from nas.problem.problem import Problem
from nas.problem.trial import Trial
from search_spaces import SearchSpace, check_ranges
from search_spaces._likelihoods import drawn, entropies, even_logits, likelihoods, towards

BROOD, ROUNDS = 8, 16
"""Encodings made at a time, and how often before `propose` has to help itself."""

LEAST = 1e-6
"""Added to the entropy of a class, so that all can be drawn when all are decided."""


class Explored(NamedTuple):
    """What was learnt: C choices of at most O options, N measured trials, M objectives.

    Attributes:
        logits_CO: Of every option; minus infinity where a choice has fewer.
        baseline: What reward is expected.
        encodings_NC: Of the trials.
        losses_NM: Of those within the limits; NaN for the others.
    """

    logits_CO: np.ndarray
    baseline: float
    encodings_NC: np.ndarray
    losses_NM: np.ndarray

    @property
    def likelihood_CO(self) -> np.ndarray:
        """Of every option; each choice's add up to 1."""
        return likelihoods(self.logits_CO)

    @property
    def front_FC(self) -> np.ndarray:
        """Encodings that no other trial dominates."""
        return self.encodings_NC[non_dominated(self.losses_NM)]


@final
@CONTROLLERS.register
@dataclass(frozen=True, kw_only=True)
class Conservative(AbstractFolding[Explored]):
    """Small changes of the front's members, in the classes of choices that are least decided.

    Attributes:
        seed: Of all random draws.
        warm_up: Measured trials before the first member is changed; until then, random ones.
        changes: Expected number of choices that are redrawn; at least one is.
        step_size: Of the logits, per unit of reward.
        forget: Weight of a new reward in the baseline.
        explore: Probability that an option is drawn uniformly.
    """

    seed: int = 0
    warm_up: int = 10
    changes: float = 1.5
    step_size: float = 0.5
    forget: float = 0.1
    explore: float = 0.1

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "controller 'conservative'",
            warm_up=(1, np.inf),
            changes=(0, np.inf),
            step_size=(0, np.inf),
            forget=(0, 1),
            explore=(0, 1),
        )

    def begin(self, problem: Problem) -> Explored:
        """Every option is equally likely."""
        nothing_0C = np.zeros((0, len(problem.space.choices)), dtype=int)
        return Explored(
            even_logits(problem.space), 0.0, nothing_0C, np.zeros((0, len(problem.objectives)))
        )

    def fold(self, problem: Problem, state: Explored, trial: Trial) -> Explored:
        """One step along the gradient of the reward, by the options that were changed."""
        losses_1M = problem.within_limits(problem.losses([trial]), [trial])
        found = reward(losses_1M[0], state.losses_NM)
        encoding_1C = np.array([trial.candidate.encoding])
        is_changed_1C = problem.space.is_active(encoding_1C) & _differs(encoding_1C, state.front_FC)
        (gradient_CO,) = towards(state.logits_CO, encoding_1C, is_changed_1C)
        return Explored(
            state.logits_CO + self.step_size * (found - state.baseline) * gradient_CO,
            state.baseline + self.forget * (found - state.baseline),
            np.concatenate([state.encodings_NC, encoding_1C]),
            np.concatenate([state.losses_NM, losses_1M]),
        )

    def draws(
        self, problem: Problem, state: Explored, rng: np.random.Generator
    ) -> Iterator[np.ndarray]:
        """Changed members of the front, within the modelled limits."""
        front_FC = state.front_FC
        if len(state.losses_NM) < self.warm_up or len(front_FC) == 0:
            yield from spread(problem, BROOD, rng)
            return
        classes = classes_of(problem.space)
        if not classes:
            return
        undecided_K = class_entropies(state.logits_CO, classes) + LEAST
        for _ in range(ROUNDS):
            bases_NC = front_FC[rng.integers(0, len(front_FC), size=BROOD)]
            class_N = rng.choice(len(classes), size=BROOD, p=undecided_K / undecided_K.sum())
            is_redrawn_NC = self._redrawn(problem.space, classes, class_N, rng)
            likely_NC = drawn(state.logits_CO, BROOD, rng)
            uniform_NC = problem.space.sample(rng, BROOD)
            is_uniform_NC = rng.random(bases_NC.shape) < self.explore
            new_NC = np.where(is_uniform_NC, uniform_NC, likely_NC)
            yield repair(problem, np.where(is_redrawn_NC, new_NC, bases_NC), rng)

    def _redrawn(
        self,
        space: SearchSpace,
        classes: dict[str, list[int]],
        class_N: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Which choices of each child are redrawn: of its class, at least one; booleans, (N, C)."""
        is_redrawn_NC = np.zeros((len(class_N), len(space.choices)), dtype=bool)
        of_class = list(classes.values())
        for row_C, number in zip(is_redrawn_NC, class_N, strict=True):
            columns = np.array(of_class[number])
            row_C[columns] = rng.random(len(columns)) < self.changes / len(columns)
            row_C[rng.choice(columns)] = True
        return is_redrawn_NC


def classes_of(space: SearchSpace) -> dict[str, list[int]]:
    """Columns of all choices with several options, by dimension."""
    found: dict[str, list[int]] = {}
    for column, choice in enumerate(space.choices):
        if len(choice.options) > 1:
            found.setdefault(choice.name.rpartition(".")[2], []).append(column)
    return found


def class_entropies(logits_CO: np.ndarray, classes: dict[str, list[int]]) -> np.ndarray:
    """How undecided each class is, the mean over its choices in nats: (K,)."""
    entropy_C = entropies(logits_CO)
    return np.array([entropy_C[columns].mean() for columns in classes.values()])


def _differs(encoding_1C: np.ndarray, front_FC: np.ndarray) -> np.ndarray:
    """Where an encoding is not as the member of the front that is most like it: (1, C).

    Everywhere if there is no front.
    """
    if len(front_FC) == 0:
        return np.ones(encoding_1C.shape, dtype=bool)
    differs_FC = encoding_1C != front_FC
    return differs_FC[[int(differs_FC.sum(axis=1).argmin())]]
