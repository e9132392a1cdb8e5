"""Gaussian processes as in optuna: the new encoding with the greatest expected improvement.

Snoek et al., Practical Bayesian Optimization of Machine Learning Algorithms (NeurIPS 2012); Daulton
et al., Differentiable Expected Hypervolume Improvement (NeurIPS 2020); Ament et al., Unexpected
Improvements to Expected Improvement (NeurIPS 2023). The sampler is optuna's, with its processes and
its expected improvement; `nas.controllers._optuna` says how it is made to work without state.

Where we depart: optuna looks for the maximum over all values of all parameters, one at a time. Here
it is looked for among encodings that may be asked for: canonical, within the modelled limits, new.
That is several times faster, which is why `_optimize_acqf` is overridden; optuna allows that and
promises nothing about it. And processes learn from 300 trials at most, not from all.
"""

from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from nas.controllers._base import (
    CONTROLLERS,
    AbstractController,
    generator,
    one_blas_thread,
)
from nas.controllers._optuna import (
    is_third_known,
    parameter_values,
    rebuilt_study,
    remembered,
    sampler_seed,
    suggestions,
)
from nas.controllers._variation import codes, codes_of_trials, fresh, propose
from nas.problem.feasible import neighbours, repair
from nas.problem.problem import Problem
from nas.problem.trial import Trial
from search_spaces import Candidate, check_ranges

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

RECENT, BEST = 200, 100
"""Trials that processes learn from: their time grows with the cube of the number."""
STARTS, NEAR, ROUNDS = 300, 4, 4
"""Random encodings, how many of the best have their neighbours looked at, and how often."""


class NothingLeft(Exception):
    """No encoding was found that may be asked for."""


@final
@CONTROLLERS.register
@dataclass(frozen=True, kw_only=True)
class GP(AbstractController):
    """optuna's Gaussian processes with expected (hypervolume) improvement.

    Attributes:
        seed: Of all random draws.
        warm_up: Measured trials before the first process is fitted; until then, random ones.
    """

    seed: int = 0
    warm_up: int = 10

    def __post_init__(self) -> None:
        check_ranges(self, "controller 'gp'", warm_up=(1, np.inf))

    def ask(self, problem: Problem, trials: Sequence[Trial], n: int) -> list[Candidate]:
        """See `AbstractController.ask`."""
        rng = generator(self.seed, trials)
        with one_blas_thread():
            return propose(problem, trials, n, source=self._draws(problem, trials, n, rng), rng=rng)

    def _draws(
        self, problem: Problem, trials: Sequence[Trial], n: int, rng: np.random.Generator
    ) -> Iterator[np.ndarray]:
        if is_third_known(problem.space, trials):
            return
        sampler = self._sampler(problem, trials, rng)
        measured = remembered(problem, trials, num_recent=RECENT, num_best=BEST)
        study = rebuilt_study(problem, trials, measured, sampler)
        with suppress(NothingLeft):
            yield from suggestions(problem, study, n, rng)

    def _sampler(
        self, problem: Problem, trials: Sequence[Trial], rng: np.random.Generator
    ) -> "BaseSampler":
        from optuna.samplers import GPSampler

        taken = codes_of_trials(trials)

        class Sampler(GPSampler):
            """Maximises over encodings."""

            def _optimize_acqf(self, acqf: Any, best_params: np.ndarray | None) -> np.ndarray:
                def worth(encodings_NC: np.ndarray) -> np.ndarray:
                    values_NP = parameter_values(problem.space, encodings_NC)
                    return np.asarray(acqf.eval_acqf_no_grad(values_NP.astype(float)))

                best_1C = greatest(problem, worth, taken, rng)
                taken.update(codes(best_1C))
                return parameter_values(problem.space, best_1C)[0].astype(float)

        return Sampler(
            n_startup_trials=self.warm_up, seed=sampler_seed(rng), warn_independent_sampling=False
        )


def greatest(
    problem: Problem,
    worth: Callable[[np.ndarray], np.ndarray],
    taken: Set[bytes],
    rng: np.random.Generator,
) -> np.ndarray:
    """The encoding that is worth most, shape (1, C), found by local search.

    Args:
        problem: Only canonical encodings within its modelled limits are looked at.
        worth: Of encodings of shape (N, C): shape (N,), higher is better.
        taken: `Candidate.code` of what is not wanted.
        rng: Of random starts.

    Raises:
        NothingLeft: If there is nothing to choose from.
    """
    space = problem.space
    seen = set(taken)
    brood_NC = repair(problem, space.sample(rng, STARTS), rng)
    rows_NC, worth_N = brood_NC[:0], np.zeros(0)
    for _ in range(1 + ROUNDS):
        new_NC = fresh(problem, space.canonical_many(brood_NC), seen)
        if len(new_NC) == 0:
            break
        seen.update(codes(new_NC))
        rows_NC = np.concatenate([rows_NC, new_NC])
        worth_N = np.concatenate([worth_N, worth(new_NC)])
        nearest_NC = rows_NC[np.argsort(-worth_N, kind="stable")[:NEAR]]
        brood_NC = neighbours(space, nearest_NC).reshape(-1, len(space.choices))
    if len(rows_NC) == 0:
        raise NothingLeft
    return rows_NC[[np.argmax(worth_N)]]
