"""TPE as in optuna: options are drawn where good trials are denser than the others.

Bergstra et al., Algorithms for Hyper-Parameter Optimization (NeurIPS 2011); Ozaki et al.,
Multiobjective Tree-Structured Parzen Estimator (JAIR 2022): the tenth of the trials that is good is
chosen by rank, then by hypervolume; Falkner et al., BOHB (ICML 2018): the densities are of all
choices together. The sampler is optuna's; `nas.controllers._optuna` says how it is made to work
without state.

Where we depart: the joint density is used for several objectives too, where optuna's default is one
density per choice. It is several times faster and knows which options go together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nas.controllers._base import CONTROLLERS, AbstractController, generator
from nas.controllers._optuna import (
    REMEMBERED,
    is_third_known,
    rebuilt_study,
    remembered,
    sampler_seed,
    suggestions,
)
from nas.controllers._variation import propose
from nas.problem.problem import Problem
from nas.problem.trial import Trial
from search_spaces import Candidate, check_ranges


@final
@CONTROLLERS.register
@dataclass(frozen=True, kw_only=True)
class TPE(AbstractController):
    """optuna's multivariate tree-structured Parzen estimator.

    Attributes:
        seed: Of all random draws.
        warm_up: Measured trials before the first density is estimated; until then, random ones.
        draws: Encodings drawn from the density of good trials, of which the best is proposed.
    """

    seed: int = 0
    warm_up: int = 10
    draws: int = 24

    def __post_init__(self) -> None:
        check_ranges(self, "controller 'tpe'", warm_up=(1, np.inf), draws=(1, np.inf))

    def ask(self, problem: Problem, trials: Sequence[Trial], n: int) -> list[Candidate]:
        """See `AbstractController.ask`."""
        rng = generator(self.seed, trials)
        return propose(problem, trials, n, source=self._draws(problem, trials, n, rng), rng=rng)

    def _draws(
        self, problem: Problem, trials: Sequence[Trial], n: int, rng: np.random.Generator
    ) -> Iterator[np.ndarray]:
        if is_third_known(problem.space, trials):
            return
        from optuna.samplers import TPESampler

        sampler = TPESampler(
            n_startup_trials=self.warm_up,
            n_ei_candidates=self.draws,
            multivariate=True,
            seed=sampler_seed(rng),
        )
        measured = remembered(problem, trials, num_best=REMEMBERED // 5)
        study = rebuilt_study(problem, trials, measured, sampler)
        yield from suggestions(problem, study, n, rng)
