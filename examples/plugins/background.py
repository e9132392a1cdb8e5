"""An executor: one thread scores while the search asks for the next candidate."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

from nas.executors import EXECUTORS, AbstractExecutor, Scoring, Session
from nas.problem.trial import Score
from nas.scoring.scorer import Scorer
from search_spaces import Candidate


@final
@EXECUTORS.register
@dataclass(frozen=True, kw_only=True)
class Background(AbstractExecutor):
    """One, because torch's number of threads belongs to the process."""

    @property
    def at_once(self) -> int:
        return 1

    @contextmanager
    def session(self, scoring: Scoring) -> Iterator[Session]:
        pool = ThreadPoolExecutor(1)
        try:
            yield Beside(scoring.scorer, pool)
        finally:
            pool.shutdown(cancel_futures=True)


class Beside:
    def __init__(self, scorer: Scorer, pool: ThreadPoolExecutor) -> None:
        self.scorer, self.pool = scorer, pool
        self.started: deque[tuple[str, Future[Score]]] = deque()

    def start(self, candidate: Candidate) -> None:
        self.started.append((candidate.key, self.pool.submit(self.scorer, candidate)))

    def finished(self) -> tuple[str, Score]:
        key, score = self.started.popleft()
        return key, score.result()
