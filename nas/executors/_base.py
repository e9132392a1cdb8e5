"""The contract of an executor: start scores, and give back those that are finished in any order.

What is asked for and what is recorded does not depend on that order. The search keeps a *lag*: the
candidate of trial i is asked for with the results of trials below i - lag alone, and the others
count as being evaluated, whether they are or not. So the records are those of any other executor
with the same lag, and no worker waits for a batch to end.
"""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from nas.trial import Score
from search_spaces import Candidate, Registry

if TYPE_CHECKING:
    from nas.trained import Trained  # which needs the registry

EXECUTORS = Registry("nas.executors", "executor")


class Session(Protocol):
    """Scores in progress."""

    def start(self, candidate: Candidate) -> None:
        """Have a candidate scored; returns at once."""

    def finished(self) -> tuple[str, Score]:
        """Key and score of one started candidate; waits for one if none is finished."""


class AbstractExecutor(ABC):
    """Scores candidates. Subclasses are frozen dataclasses."""

    @property
    @abstractmethod
    def at_once(self) -> int:
        """How many candidates it scores at the same time."""

    @property
    @abstractmethod
    def lag(self) -> int:
        """How far the results that an ask sees may be behind, unless the user says it."""

    @abstractmethod
    def session(self, trained: "Trained") -> AbstractContextManager[Session]:
        """Ready to score; at its end nothing that it started runs any more."""
