"""Random search: the yardstick for every other controller, and hard to beat by luck alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from nas.controllers._base import CONTROLLERS, AbstractController, generator
from nas.controllers._variation import propose
from nas.problem.problem import Problem
from nas.problem.trial import Trial
from search_spaces import Candidate

DRAWS, ROUNDS = 256, 8


@final
@CONTROLLERS.register
@dataclass(frozen=True, kw_only=True)
class Random(AbstractController):
    """Uniform over the options of every choice, among the encodings within the modelled limits.

    Where fewer than one encoding in about two thousand is within them, candidates are random ones
    that were repaired, which is no longer uniform: they lie close to the limits.
    """

    seed: int = 0

    def ask(self, problem: Problem, trials: Sequence[Trial], n: int) -> list[Candidate]:
        """See `AbstractController.ask`."""
        rng = generator(self.seed, trials)
        draws = (problem.space.sample(rng, DRAWS) for _ in range(ROUNDS))
        return propose(problem, trials, n, source=draws, rng=rng)
