"""Scores in processes of this machine that each hold the trained supernet.

A worker is a fresh process that reads the run directory: nothing is handed over but encodings, and
nothing comes back but numbers, both as lines of JSON. One that dies or takes longer than allowed is
replaced, and its candidate is tried once more; then it is a failed one.
"""

import json
import selectors
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, final

from nas.executors._base import EXECUTORS, TRIES, AbstractExecutor, Scoring, Session, check_limit
from nas.problem.trial import Score
from nas.system.environment import num_cores
from search_spaces import Candidate

COMMAND = (sys.executable, "-m", "nas.prepare._scoring_worker")
STARTED_WITHIN_S = 300.0
"""For importing torch, the weights and the images."""


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
        pool = _Pool(scoring.run, self.at_once, self.score_limit_s)
        try:
            yield pool
        finally:
            pool.close()


@dataclass
class _Worker:
    """A process and what it is doing.

    Attributes:
        process: Reads jobs, writes answers.
        errors: What it says on stderr.
        deadline: When it is taken for stuck.
        job: What it works on; None while it starts or waits.
        is_ready: Whether it has said so.
    """

    process: "subprocess.Popen[bytes]"
    errors: IO[bytes]
    deadline: float
    job: "_Job | None" = None
    is_ready: bool = False


@dataclass
class _Job:
    candidate: Candidate
    tries: int = 0
    reasons: list[str] = field(default_factory=list)


class _Pool:
    """Workers, candidates that wait for one, and scores that wait to be fetched."""

    def __init__(self, run: Path, num_workers: int, limit_s: float) -> None:
        self._run = run
        self._limit_s = limit_s
        self._num_workers = num_workers
        self._waiting: deque[_Job] = deque()
        self._done: deque[tuple[str, Score]] = deque()
        self._selector = selectors.DefaultSelector()
        self._workers: list[_Worker] = []
        for _ in range(num_workers):
            self._add_worker()

    def start(self, candidate: Candidate) -> None:
        """See `Session.start`."""
        self._waiting.append(_Job(candidate))
        self._hand_out()

    def finished(self) -> tuple[str, Score]:
        """See `Session.finished`."""
        while not self._done:
            self._hand_out()
            busy = [w for w in self._workers if w.job is not None or not w.is_ready]
            soonest = min(worker.deadline for worker in busy)
            for key, _ in self._selector.select(max(0.0, soonest - time.monotonic())):
                self._listen(key.data)
            now = time.monotonic()
            for worker in [w for w in busy if w in self._workers and w.deadline <= now]:
                self._replace(worker, f"took longer than {self._limit_s:g} s")
        return self._done.popleft()

    def close(self) -> None:
        """Ends all workers."""
        for worker in list(self._workers):
            self._remove(worker)
        self._selector.close()

    def _add_worker(self) -> None:
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        process = subprocess.Popen(
            [*COMMAND, str(self._run), str(self._num_workers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        worker = _Worker(process, errors, time.monotonic() + STARTED_WITHIN_S)
        self._workers.append(worker)
        assert process.stdout is not None
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)

    def _hand_out(self) -> None:
        for worker in self._workers:
            if self._waiting and worker.is_ready and worker.job is None:
                worker.job = self._waiting.popleft()
                worker.job.tries += 1
                worker.deadline = time.monotonic() + self._limit_s
                line = json.dumps({"encoding": worker.job.candidate.encoding}) + "\n"
                assert worker.process.stdin is not None
                try:
                    worker.process.stdin.write(line.encode())
                    worker.process.stdin.flush()
                except BrokenPipeError:
                    continue  # it has died, which its output's end will say

    def _listen(self, worker: _Worker) -> None:
        """Takes one line from a worker, or its end."""
        assert worker.process.stdout is not None
        line = worker.process.stdout.readline()
        if not line.endswith(b"\n"):
            self._replace(worker, f"died with code {worker.process.wait()}")
        elif not worker.is_ready:
            worker.is_ready = True
        else:
            assert worker.job is not None
            answer = json.loads(line)
            score = Score(answer["metrics"], failure=answer["failure"])
            self._done.append((worker.job.candidate.key, score))
            worker.job = None

    def _replace(self, worker: _Worker, reason: str) -> None:
        """A new worker for one that is of no use any more."""
        job = worker.job
        said = self._remove(worker)
        if not worker.is_ready:
            raise RuntimeError(f"a scoring process {reason} before it was ready: {said}")
        self._add_worker()
        if job is None:
            return
        job.reasons.append(reason)
        if job.tries < TRIES:
            self._waiting.appendleft(job)
        else:
            failure = f"the process that scored it {reason}, {TRIES} times"
            self._done.append((job.candidate.key, Score({}, failure=failure)))

    def _remove(self, worker: _Worker) -> str:
        """Ends a worker; the last line that it wrote to stderr."""
        assert worker.process.stdin is not None
        assert worker.process.stdout is not None
        self._workers.remove(worker)
        self._selector.unregister(worker.process.stdout)
        worker.process.kill()
        worker.process.wait()
        worker.process.stdout.close()
        worker.process.stdin.close()
        worker.errors.seek(0)
        lines = worker.errors.read().decode(errors="replace").strip().splitlines()
        worker.errors.close()
        return lines[-1] if lines else "it said nothing"
