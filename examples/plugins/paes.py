"""A controller: every candidate is a mutation of a member of the front.

Source: Knowles and Corne, Approximating the Nondominated Front Using the Pareto Archived Evolution
Strategy (2000). Departures: the parent is any member of the front, not the last one that was
accepted; the first trials are spread over the costs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nas import controllers
from nas.problem.feasible import repair
from nas.problem.pareto import non_dominated
from nas.problem.problem import Problem
from nas.problem.trial import Trial
from search_spaces import Candidate

AT_ONCE, ROUNDS = 8, 16


@final
@controllers.CONTROLLERS.register
@dataclass(frozen=True, kw_only=True)
class PAES(controllers.AbstractController):
    """Mutates members of the front; `warm_up` measured trials come before the first mutation."""

    seed: int = 0
    warm_up: int = 10
    mutations: float = 1.5

    def ask(self, problem: Problem, trials: Sequence[Trial], n: int) -> list[Candidate]:
        rng = controllers.generator(self.seed, trials)
        losses_NM = problem.losses(trials)
        if np.isfinite(losses_NM).all(axis=1).sum() < self.warm_up:
            source = controllers.spread(problem, AT_ONCE, rng)
            return controllers.propose(problem, trials, n, source=source, rng=rng)
        front = np.flatnonzero(non_dominated(problem.within_limits(losses_NM, trials)))
        front_PC = controllers.encodings_of(problem.space, [trials[i] for i in front])
        source = self._mutants(problem, front_PC, rng)
        return controllers.propose(problem, trials, n, source=source, rng=rng)

    def _mutants(
        self, problem: Problem, front_PC: np.ndarray, rng: np.random.Generator
    ) -> Iterator[np.ndarray]:
        for _ in range(ROUNDS):
            parents_NC = front_PC[rng.integers(len(front_PC), size=AT_ONCE)]
            changes = {"expected": self.mutations, "ordinal": 0.5}
            yield repair(
                problem, controllers.mutate(problem.space, parents_NC, rng, **changes), rng
            )
