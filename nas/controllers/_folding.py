"""Controllers that learn from one trial after the other.

Such a controller has a state, yet `ask` stays a pure function: the state is what `fold` makes of
the measured trials, one by one in their order. The last state of a search is remembered together
with the trials that it came from, so that an ask folds only what is new; whoever asks in a new
process folds everything again and comes to the same.
"""

import itertools
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Generic, TypeVar, final

import numpy as np

from nas.controllers._base import AbstractController, generator
from nas.controllers._variation import propose
from nas.problem.problem import Problem
from nas.problem.trial import Trial
from search_spaces import Candidate

State = TypeVar("State")


class AbstractFolding(AbstractController, Generic[State]):
    """Learns from every measured trial once; what it learns from, it never changes."""

    seed: int

    @abstractmethod
    def begin(self, problem: Problem) -> State:
        """The state before the first trial."""

    @abstractmethod
    def fold(self, problem: Problem, state: State, trial: Trial) -> State:
        """The state after one more measured trial; `state` itself is left as it is.

        Args:
            problem: What is searched for.
            state: What the measured trials before this one came to.
            trial: All its objectives are finite.
        """

    @abstractmethod
    def draws(
        self, problem: Problem, state: State, rng: np.random.Generator
    ) -> Iterator[np.ndarray]:
        """Encodings in order of preference, shape (any, C) each: a source of `propose`."""

    @final
    def ask(self, problem: Problem, trials: Sequence[Trial], n: int) -> list[Candidate]:
        """See `AbstractController.ask`."""
        rng = generator(self.seed, trials)
        source = self.draws(problem, self._folded(problem, trials), rng)
        return propose(problem, trials, n, source=source, rng=rng)

    def _folded(self, problem: Problem, trials: Sequence[Trial]) -> State:
        is_measured_N = np.isfinite(problem.losses(trials)).all(axis=1)
        measured = list(itertools.compress(trials, is_measured_N))
        known = _known(self)
        done, state = known.trials, known.state
        if known.problem is not problem or measured[: len(done)] != done:
            done, state = [], self.begin(problem)
        for trial in measured[len(done) :]:
            state = self.fold(problem, state, trial)
        known.problem, known.trials, known.state = problem, measured, state
        return state


@dataclass
class _Known:
    """The last ask of a controller: the measured trials, and what they came to."""

    problem: Problem | None = None
    trials: list[Trial] = field(default_factory=list)
    state: Any = None


@lru_cache(maxsize=8)
def _known(controller: AbstractFolding[Any]) -> _Known:
    return _Known()
