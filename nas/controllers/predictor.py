"""Predictor-guided search: measures what is expected to extend the front most.

What was measured trains a Gaussian process per unknown objective, per limit that only a measurement
shows, and for failures if there were any (`nas.controllers._beliefs`). A candidate's worth is the
expected gain of hypervolume times the probability that it is within the limits and does not fail.
Known metrics are computed, never predicted. A small space is looked at as a whole; in a large one,
an evolution on the predictions starts from the front.

Sources: Emmerich, Giannakoglou, Naujoks, Single- and multiobjective evolutionary optimization
assisted by Gaussian random field metamodels (2006): expected hypervolume improvement. Ginsbourger,
Le Riche, Carraro, Kriging is well-suited to parallelize optimization (2010): candidates of a batch,
and those still being evaluated, are taken for measured as predicted. Sridhar et al., SimQ-NAS
(2023): predictors in the loop, of an architecture and its policy together. Where we depart:

- Hopeless losses do not count as a gain; what is hopeless moves out as trials become more.
- One candidate in `explore` is chosen as if predictions were three times as uncertain as they seem,
  so that a wrong one cannot lock the search.
- The first candidates fill the space: each is the farthest from all others among random ones,
  which are spread over the cost where a cost is known.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from nas.controllers._base import (
    CONTROLLERS,
    AbstractController,
    generator,
    one_blas_thread,
)
from nas.controllers._beliefs import Beliefs, beliefs_of
from nas.controllers._gaussian_process import features_of
from nas.controllers._improvement import Boxes, expected_improvement, open_boxes
from nas.controllers._variation import (
    codes,
    codes_of_trials,
    crossed,
    encodings_of,
    everything,
    fresh,
    mutate,
    propose,
    spread,
)
from nas.problem.feasible import repair
from nas.problem.pareto import non_dominated
from nas.problem.problem import Problem
from nas.problem.trial import Trial
from search_spaces import Candidate, check_ranges

HOPELESS, HOPELESS_COST = 1.6, 3.0
"""Losses beyond this many warped units above the median do not count: of what is predicted, and of
what is known. Were more to count of what is uncertain, the ends of the front would always look best
(see docs/decisions/0023)."""
ENDS, FEW = 0.67, 25
"""How many units more count with every doubling of more than a few trials: first the middle of the
front, then its ends."""
ROUNDS, BROOD, PARENTS = 4, 128, 40
"""Of the inner evolution: how often it breeds, how many, and from how many."""
FIRST = 32
"""Random encodings among which the one farthest from all others is taken."""
OPTIMISM = 3.0
"""By which standard deviations are multiplied where a candidate is chosen for what it teaches."""
LEAST = 1e-9
"""Weight of the standard deviations: decides where nothing is expected to be gained."""
CHUNK = 1024
"""Candidates whose worth is worked out at a time."""


@final
@CONTROLLERS.register
@dataclass(frozen=True, kw_only=True)
class Predictor(AbstractController):
    """Expected hypervolume improvement on Gaussian processes.

    Attributes:
        seed: Of all random draws.
        warm_up: Finished trials before the first prediction.
        explore: One candidate in so many is chosen for what it would teach.
    """

    seed: int = 0
    warm_up: int = 8
    explore: int = 10

    def __post_init__(self) -> None:
        check_ranges(self, "controller 'predictor'", warm_up=(2, np.inf), explore=(1, np.inf))

    def ask(self, problem: Problem, trials: Sequence[Trial], n: int) -> list[Candidate]:
        """See `AbstractController.ask`."""
        rng = generator(self.seed, trials)
        is_ready = self._is_ready(problem, trials)
        source = (self._promising if is_ready else _far_apart)(problem, trials, rng)
        with one_blas_thread():
            return propose(problem, trials, n, source=source, rng=rng)

    def evidence(self, problem: Problem, trials: Sequence[Trial]) -> dict[str, dict[str, float]]:
        """See `Predicts.evidence`."""
        if not self._is_ready(problem, trials):
            return {}
        with one_blas_thread():
            return beliefs_of(problem, trials, self.warm_up).evidence()

    def _is_ready(self, problem: Problem, trials: Sequence[Trial]) -> bool:
        """Whether there is enough to learn from."""
        num_measured = int(np.isfinite(problem.losses(trials)).all(axis=1).sum())
        num_finished = sum(trial.is_finished for trial in trials)
        return num_measured >= 2 and num_finished >= self.warm_up

    def _promising(
        self, problem: Problem, trials: Sequence[Trial], rng: np.random.Generator
    ) -> Iterator[np.ndarray]:
        """One encoding at a time, shape (1, C), each as if those before it had been measured."""
        beliefs = beliefs_of(problem, trials, self.warm_up)
        number = len(trials)
        pool_KC, worth_K = _pool(problem, Worth(beliefs, self._optimism(number)), trials, rng)
        while len(pool_KC):
            best = int(worth_K.argmax())
            yield pool_KC[best : best + 1]
            number += 1
            beliefs = beliefs.believing(pool_KC[best : best + 1])
            pool_KC = np.delete(pool_KC, best, axis=0)
            worth_K = Worth(beliefs, self._optimism(number))(pool_KC)

    def _optimism(self, number: int) -> float:
        """Of the choice of the trial with that number."""
        return OPTIMISM if number % self.explore == self.explore - 1 else 1.0


@dataclass(frozen=True)
class Worth:
    """What measuring an encoding is expected to gain.

    Attributes:
        beliefs: About all encodings.
        optimism: What standard deviations are multiplied by.
    """

    beliefs: Beliefs
    optimism: float

    def __call__(self, encodings_KC: np.ndarray) -> np.ndarray:
        """Expected gain of every encoding, shape (K,)."""
        worth_K = np.zeros(len(encodings_KC))
        for start in range(0, len(encodings_KC), CHUNK):
            rows = slice(start, start + CHUNK)
            mean_KM, std_KM = self.beliefs.losses(encodings_KC[rows])
            gain_K = expected_improvement(mean_KM, self.optimism * std_KM, self._open)
            chance_K = self.beliefs.chance(encodings_KC[rows])
            worth_K[rows] = chance_K * (gain_K + LEAST * std_KM.sum(axis=1))
        return worth_K

    @cached_property
    def _open(self) -> Boxes:
        """Where losses would extend the front."""
        losses_NM = self.beliefs.losses_NM
        doublings = np.log2(max(1.0, len(losses_NM) / FEW))
        is_predicted_M = np.isin(np.arange(losses_NM.shape[1]), list(self.beliefs.objectives))
        reference_M = np.where(is_predicted_M, HOPELESS, HOPELESS_COST) + ENDS * doublings
        return open_boxes(losses_NM[non_dominated(losses_NM)], reference_M)


def _pool(
    problem: Problem, worth: Worth, trials: Sequence[Trial], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """New canonical encodings within the modelled limits, and their worth.

    All of a small space, else what an evolution on the predictions comes to.
    """
    taken = codes_of_trials(trials)
    rows_NC = everything(problem.space)
    if rows_NC is not None:
        pool_KC = fresh(problem, rows_NC, taken)
        return pool_KC, worth(pool_KC)
    parents_PC = _parents(problem, trials, rng)
    pool_KC, worth_K = np.zeros((0, parents_PC.shape[1]), dtype=int), np.zeros(0)
    for _ in range(ROUNDS):
        parents_2NC = parents_PC[rng.integers(0, len(parents_PC), size=(2, BROOD))]
        children_NC = crossed(parents_2NC, rng, probability=0.5)
        children_NC = mutate(problem.space, children_NC, rng, expected=1.0, ordinal=0.5)
        children_NC = problem.space.canonical_many(repair(problem, children_NC, rng))
        new_NC = fresh(problem, children_NC, taken)
        taken.update(codes(new_NC))
        pool_KC = np.concatenate([pool_KC, new_NC])
        worth_K = np.concatenate([worth_K, worth(new_NC)])
        if len(pool_KC):
            parents_PC = pool_KC[np.argsort(-worth_K, kind="stable")[:PARENTS]]
    return pool_KC, worth_K


def _parents(problem: Problem, trials: Sequence[Trial], rng: np.random.Generator) -> np.ndarray:
    """Where the inner evolution starts: the front, or what was measured at all, and random ones."""
    losses_NM = problem.losses(trials)
    front = np.flatnonzero(non_dominated(problem.within_limits(losses_NM, trials)))
    if len(front) == 0:
        front = np.flatnonzero(np.isfinite(losses_NM).all(axis=1))
    start_PC = encodings_of(problem.space, [trials[i] for i in rng.permutation(front)[:PARENTS]])
    return np.concatenate([start_PC, problem.space.sample(rng, PARENTS // 2)])


def _far_apart(
    problem: Problem, trials: Sequence[Trial], rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """One encoding at a time, shape (1, C): random ones that are far from all others."""
    features = features_of(problem.space)
    space = problem.space
    taken_NC = encodings_of(space, trials)
    for random_NC in spread(problem, FIRST, rng):
        rows_NC = space.canonical_many(random_NC)
        if len(taken_NC):
            one_NF = features(rows_NC, space.is_active(rows_NC))
            other_KF = features(taken_NC, space.is_active(taken_NC))
            distance_NK = ((one_NF[:, None] - other_KF) ** 2).sum(axis=2)
            rows_NC = rows_NC[[int(distance_NK.min(axis=1).argmax())]]
        else:
            rows_NC = rows_NC[:1]
        yield rows_NC
        taken_NC = np.concatenate([taken_NC, rows_NC])
