"""Scores in processes of this machine, which share the weights and the images of this one.

A worker is a fork of a process that has imported torch (`supernets/_worker.py`), so it starts in a
moment, and it ends with whoever started it. One that dies or takes longer than allowed is replaced,
and its candidate is tried once more; then it is a failed one.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from nas.executors._base import (
    EXECUTORS,
    TRIES,
    AbstractExecutor,
    Scoring,
    Session,
    check_limit,
)
from nas.problem.trial import Score
from nas.system.environment import num_cores
from search_spaces import Candidate
from supernets._worker import Worker, WorkerDiedError, answered

if TYPE_CHECKING:
    from nas.scoring.scorer import Scorer


@final
@EXECUTORS.register
@dataclass(frozen=True, kw_only=True)
class Processes(AbstractExecutor):
    """Worker processes.

    Attributes:
        workers: How many; 0 for one per core.
        score_limit_s: Seconds that one score may take.
    """

    workers: int = 0
    score_limit_s: float = 300.0

    def __post_init__(self) -> None:
        check_limit("processes", self.score_limit_s)

    @property
    def at_once(self) -> int:
        """One per worker."""
        return self.workers or num_cores()

    @contextmanager
    def session(self, scoring: Scoring) -> Iterator[Session]:
        """See `AbstractExecutor.session`."""
        from supernets.team import shared  # which imports torch

        with shared(scoring.scorer.supernet):
            pool = _Pool(_Work(scoring.scorer), self.at_once, self.score_limit_s)
            try:
                yield pool
            finally:
                pool.close()


@dataclass(frozen=True)
class _Work:
    """What a worker does with an encoding."""

    scorer: "Scorer"

    def __call__(self, encoding: Sequence[int]) -> Score:
        return self.scorer(self.scorer.supernet.space.candidate(encoding))


@dataclass
class _Job:
    candidate: Candidate
    tries: int = 0
    deadline: float = 0.0


class _Pool:
    """Workers, candidates that wait for one, and scores that wait to be fetched."""

    def __init__(self, work: _Work, num_workers: int, limit_s: float) -> None:
        self._work = work
        self._limit_s = limit_s
        self._idle = [Worker(work) for _ in range(num_workers)]
        self._busy: dict[Worker, _Job] = {}
        self._waiting: deque[_Job] = deque()
        self._done: deque[tuple[str, Score]] = deque()

    def start(self, candidate: Candidate) -> None:
        """See `Session.start`."""
        self._waiting.append(_Job(candidate))
        self._hand_out()

    def finished(self) -> tuple[str, Score]:
        """See `Session.finished`."""
        while not self._done:
            self._hand_out()
            soonest = min(job.deadline for job in self._busy.values())
            for worker in answered(list(self._busy), max(0.0, soonest - time.monotonic())):
                self._take(worker)
            now = time.monotonic()
            for worker in [w for w, job in self._busy.items() if job.deadline <= now]:
                self._replace(worker, f"took longer than {self._limit_s:g} s")
        return self._done.popleft()

    def close(self) -> None:
        """Ends all workers."""
        for worker in [*self._idle, *self._busy]:
            worker.close()

    def _hand_out(self) -> None:
        while self._waiting and self._idle:
            worker, job = self._idle.pop(), self._waiting.popleft()
            job.tries += 1
            job.deadline = time.monotonic() + self._limit_s
            self._busy[worker] = job
            with suppress(WorkerDiedError):  # which waiting for its answer will say
                worker.send(job.candidate.encoding)

    def _take(self, worker: Worker) -> None:
        """Takes an answer, or sees that there will be none."""
        try:
            score = worker.receive()
        except WorkerDiedError as error:
            self._replace(worker, f"died with code {error.code}")
            return
        self._done.append((self._busy.pop(worker).candidate.key, score))
        self._idle.append(worker)

    def _replace(self, worker: Worker, reason: str) -> None:
        """A new worker for one that is of no use any more."""
        job = self._busy.pop(worker)
        worker.close()
        self._idle.append(Worker(self._work))
        if job.tries < TRIES:
            self._waiting.appendleft(job)
        else:
            failure = f"the process that scored it {reason}, {TRIES} times"
            self._done.append((job.candidate.key, Score({}, failure=failure)))
