"""Local search: neighbours of the front's members, until none of them is better.

Paquete, Chiarandini, Stuetzle, Pareto Local Optimum Sets in the Biobjective Traveling Salesman
Problem (2004); White, Nolen, Savani, Exploring the Loss Landscape in Neural Architecture Search
(UAI 2021): local search is a strong yardstick. Where we depart: every ask begins anew with the
loneliest member of the front as it is now, instead of finishing one member's neighbourhood before
the next; and once all neighbours of the front are known, those of the next rank follow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nas.controllers._base import CONTROLLERS, AbstractController, generator
from nas.controllers._variation import encodings_of, propose, selection_order, spread
from nas.problem.feasible import neighbours
from nas.problem.pareto import ranks
from nas.problem.problem import Problem
from nas.problem.trial import Trial
from search_spaces import Candidate, check_ranges

STARTS = 8
"""Random networks that are made at a time."""


@final
@CONTROLLERS.register
@dataclass(frozen=True, kw_only=True)
class Local(AbstractController):
    """Multi-objective local search.

    Attributes:
        seed: Of all random draws.
        warm_up: Measured trials before the first neighbour is proposed; until then, random ones.
    """

    seed: int = 0
    warm_up: int = 10

    def __post_init__(self) -> None:
        check_ranges(self, "controller 'local'", warm_up=(1, np.inf))

    def ask(self, problem: Problem, trials: Sequence[Trial], n: int) -> list[Candidate]:
        """See `AbstractController.ask`."""
        rng = generator(self.seed, trials)
        losses_NM = problem.losses(trials)
        if np.isfinite(losses_NM).all(axis=1).sum() < self.warm_up:
            return propose(problem, trials, n, source=spread(problem, STARTS, rng), rng=rng)
        losses_NM = problem.within_limits(losses_NM, trials)
        return propose(problem, trials, n, source=_around(problem, trials, losses_NM, rng), rng=rng)


def _around(
    problem: Problem, trials: Sequence[Trial], losses_NM: np.ndarray, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """The neighbours of a rank's members, shape (any, C), members in turn; best rank first."""
    order = selection_order(losses_NM)
    order = order[np.isfinite(losses_NM[order]).all(axis=1)]
    rank_N = ranks(losses_NM)[order]
    encodings_NC = encodings_of(problem.space, [trials[i] for i in order])
    for rank in np.unique(rank_N):
        around_RKC = neighbours(problem.space, encodings_NC[rank_N == rank])
        ways_RK = np.argsort(rng.random(around_RKC.shape[:2]), axis=1)
        shuffled_RKC = np.take_along_axis(around_RKC, ways_RK[:, :, None], axis=1)
        yield shuffled_RKC.swapaxes(0, 1).reshape(-1, around_RKC.shape[2])
