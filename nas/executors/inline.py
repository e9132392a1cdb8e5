"""Scores in this process, one after the other."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from nas.executors._base import EXECUTORS, AbstractExecutor, Scoring, Session
from nas.problem.trial import Score
from search_spaces import Candidate

if TYPE_CHECKING:
    from nas.scoring.scorer import Scorer


@final
@EXECUTORS.register
@dataclass(frozen=True, kw_only=True)
class Inline(AbstractExecutor):
    """No other process. `workers` has no meaning here."""

    workers: int = 0

    @property
    def at_once(self) -> int:
        """One after the other."""
        return 1

    @property
    def lag(self) -> int:
        """None: every ask sees every result."""
        return 0

    @contextmanager
    def session(self, scoring: Scoring) -> Iterator[Session]:
        """See `AbstractExecutor.session`."""
        yield _Queue(scoring.scorer)


class _Queue:
    """Candidates that wait for their turn."""

    def __init__(self, scorer: "Scorer") -> None:
        self._scorer = scorer
        self._waiting: deque[Candidate] = deque()

    def start(self, candidate: Candidate) -> None:
        """See `Session.start`."""
        self._waiting.append(candidate)

    def finished(self) -> tuple[str, Score]:
        """See `Session.finished`."""
        candidate = self._waiting.popleft()
        return candidate.key, self._scorer(candidate)
