"""Regularized multi-objective evolution: parents are the latest trials and the front so far.

Real et al., Regularized Evolution for Image Classifier Architecture Search (AAAI 2019): every trial
joins the population, the oldest leaves it, a tournament chooses the parent. Deb et al., A Fast and
Elitist Multiobjective Genetic Algorithm: NSGA-II (2002): a tournament is won by the lower rank,
then by the larger crowding distance. Where we depart from both:

- The front of all trials stays in the population whatever its age, and few others do: a search has
  tens of trials, not thousands, and a good one is too precious to forget.
- A child has two parents (uniform crossover) as often as one.
- The first trials are not uniform but spread over the cost: random networks crossed in random
  proportion with a cheap or a costly one. (Uniform networks of many choices all cost the same.)
- Trials over a limit that only a measurement shows rank behind all others, and children over a
  modelled limit are repaired rather than evaluated.

The defaults were chosen for searches of 30 to 200 trials.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nas.controllers._base import CONTROLLERS, AbstractController, generator
from nas.controllers._variation import (
    crossed,
    encodings_of,
    mutate,
    propose,
    selection_order,
    spread,
)
from nas.problem.feasible import repair
from nas.problem.pareto import non_dominated
from nas.problem.problem import Problem
from nas.problem.trial import Trial
from search_spaces import Candidate, check_ranges

BROOD, ROUNDS = 8, 16
"""Children made at a time, and how often before `propose` has to help itself."""


@final
@CONTROLLERS.register
@dataclass(frozen=True, kw_only=True)
class Evolution(AbstractController):
    """Regularized evolution on ranks and crowding distances.

    Attributes:
        seed: Of all random draws.
        warm_up: Measured trials before the first parent is chosen.
        population: Latest measured trials that may be parents besides the front.
        tournament: Parents drawn at random, of which the best is taken.
        mutations: Expected number of choices that change in a child.
        crossover: Probability that a child has two parents.
        ordinal: Probability that a change of a numeric choice is to the next or previous option
            rather than to any other.
    """

    seed: int = 0
    warm_up: int = 16
    population: int = 8
    tournament: int = 6
    mutations: float = 1.0
    crossover: float = 0.5
    ordinal: float = 0.5

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "controller 'evolution'",
            warm_up=(1, np.inf),
            population=(1, np.inf),
            tournament=(1, np.inf),
            mutations=(0, np.inf),
            crossover=(0, 1),
            ordinal=(0, 1),
        )

    def ask(self, problem: Problem, trials: Sequence[Trial], n: int) -> list[Candidate]:
        """See `AbstractController.ask`."""
        rng = generator(self.seed, trials)
        losses_NM = problem.losses(trials)
        measured = np.flatnonzero(np.isfinite(losses_NM).all(axis=1))
        if len(measured) < self.warm_up:
            return propose(problem, trials, n, source=spread(problem, BROOD, rng), rng=rng)
        losses_NM = problem.within_limits(losses_NM, trials)
        is_parent_N = non_dominated(losses_NM)
        is_parent_N[measured[-self.population :]] = True
        parents = np.flatnonzero(is_parent_N)
        best_first = parents[selection_order(losses_NM[parents])]
        parents_PC = encodings_of(problem.space, [trials[i] for i in best_first])
        source = self._children(problem, parents_PC, rng)
        return propose(problem, trials, n, source=source, rng=rng)

    def _children(
        self, problem: Problem, parents_PC: np.ndarray, rng: np.random.Generator
    ) -> Iterator[np.ndarray]:
        """Broods of children within the modelled limits; parents come best first."""
        for _ in range(ROUNDS):
            entrants = rng.integers(0, len(parents_PC), size=(2, BROOD, self.tournament))
            parents_2NC = parents_PC[entrants.min(axis=2)]
            children_NC = crossed(parents_2NC, rng, probability=self.crossover)
            changes = {"expected": self.mutations, "ordinal": self.ordinal}
            yield repair(problem, mutate(problem.space, children_NC, rng, **changes), rng)
