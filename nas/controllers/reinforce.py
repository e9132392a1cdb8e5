"""Learnt gradient: options of good trials become likelier, those of bad ones rarer.

Williams, Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning
(1992); one independent softmax per choice as in Bender et al., Can Weight Sharing Outperform Random
Architecture Search? (TuNAS, CVPR 2020), and for formats in Dotzel et al., FLIQS (2024). Where we
depart:

- A front has no single reward: `nas/controllers/_reward.py` says what a trial's is.
- Proposals over a modelled limit are repaired, and the gradient is that of what was measured.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np

from nas.controllers._base import CONTROLLERS
from nas.controllers._folding import AbstractFolding
from nas.controllers._reward import reward
from nas.problem.feasible import repair
from nas.problem.problem import Problem
from nas.problem.trial import Trial
from search_spaces import check_ranges
from search_spaces._likelihoods import drawn, even_logits, likelihoods, towards

BROOD, ROUNDS = 8, 16
"""Encodings drawn at a time, and how often before `propose` has to help itself."""


class Learnt(NamedTuple):
    """What was learnt: C choices of at most O options, N measured trials, M objectives.

    Attributes:
        logits_CO: Of every option; minus infinity where a choice has fewer.
        baseline: What reward is expected.
        losses_NM: Of the trials within the limits; NaN for the others.
    """

    logits_CO: np.ndarray
    baseline: float
    losses_NM: np.ndarray

    @property
    def likelihood_CO(self) -> np.ndarray:
        """Of every option; each choice's add up to 1."""
        return likelihoods(self.logits_CO)


@final
@CONTROLLERS.register
@dataclass(frozen=True, kw_only=True)
class Reinforce(AbstractFolding[Learnt]):
    """REINFORCE with a moving baseline.

    Attributes:
        seed: Of all random draws.
        step_size: Of the logits, per unit of reward.
        forget: Weight of a new reward in the baseline.
        explore: Probability that a choice is drawn uniformly.
    """

    seed: int = 0
    step_size: float = 0.5
    forget: float = 0.1
    explore: float = 0.05

    def __post_init__(self) -> None:
        check_ranges(
            self, "controller 'reinforce'", step_size=(0, np.inf), forget=(0, 1), explore=(0, 1)
        )

    def begin(self, problem: Problem) -> Learnt:
        """Every option is equally likely."""
        return Learnt(even_logits(problem.space), 0.0, np.zeros((0, len(problem.objectives))))

    def fold(self, problem: Problem, state: Learnt, trial: Trial) -> Learnt:
        """One step along the gradient of the expected reward."""
        losses_1M = problem.within_limits(problem.losses([trial]), [trial])
        found = reward(losses_1M[0], state.losses_NM)
        encoding_1C = np.array([trial.candidate.encoding])
        is_active_1C = problem.space.is_active(encoding_1C)
        (gradient_CO,) = towards(state.logits_CO, encoding_1C, is_active_1C)
        step = self.step_size * (found - state.baseline)
        return Learnt(
            state.logits_CO + step * gradient_CO,
            state.baseline + self.forget * (found - state.baseline),
            np.concatenate([state.losses_NM, losses_1M]),
        )

    def draws(
        self, problem: Problem, state: Learnt, rng: np.random.Generator
    ) -> Iterator[np.ndarray]:
        """Encodings as likely as was learnt, repaired."""
        for _ in range(ROUNDS):
            uniform_NC = problem.space.sample(rng, BROOD)
            learnt_NC = drawn(state.logits_CO, BROOD, rng)
            is_uniform_NC = rng.random(uniform_NC.shape) < self.explore
            yield repair(problem, np.where(is_uniform_NC, uniform_NC, learnt_NC), rng)
