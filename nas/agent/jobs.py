"""Jobs of an agent: one at a time, answers kept until they have arrived."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

from nas.agent.store import BusyError, Store
from nas.targets._agent import Job

KEPT_S, MOST_KEPT = 600.0, 64
"""Answers that nobody has fetched."""

Answer = Mapping[str, Any]
Run = Callable[[Job, Sequence[Path]], Answer]

_log = logging.getLogger(__name__)


class MissingError(Exception):
    """Files have to be sent first.

    Args:
        digests: Of them.
    """

    def __init__(self, digests: Sequence[str]) -> None:
        super().__init__(f"{len(digests)} files are missing")
        self.digests = list(digests)


@final
class _Entry:
    """A job that runs or has run."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.answer: Answer = {}
        self.ended_at = 0.0


@final
class Jobs:
    """Runs jobs, each in a thread that mostly waits for processes.

    Args:
        store: Has the files.
        run: Makes the answer to a job.
    """

    def __init__(self, store: Store, run: Run) -> None:
        self._store = store
        self._run = run
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}

    def start(self, job: Job) -> bool:
        """Begin a job, unless it runs or has run; whether its answer is there.

        Raises:
            BusyError: If another one is running, or a file is arriving.
            MissingError: If files are not there.
        """
        with self._lock:
            self._forget_old()
            known = self._entries.get(job.key)
            if known is not None:
                return known.done.is_set()
            if any(not entry.done.is_set() for entry in self._entries.values()):
                raise BusyError("another job is running")
            missing = self._store.claim(job.files)
            if missing:
                raise MissingError(missing)
            entry = self._entries[job.key] = _Entry()
        threading.Thread(target=self._work, args=(job, entry), daemon=True).start()
        return False

    def wait(self, key: str, seconds: float) -> Answer | None:
        """The answer to a job; None if it is not there after so many seconds.

        Raises:
            KeyError: If there is no such job.
        """
        with self._lock:
            entry = self._entries[key]
        return entry.answer if entry.done.wait(seconds) else None

    def forget(self, key: str) -> None:
        """Drop the answer to a job, if it is there."""
        with self._lock:
            if key in self._entries and self._entries[key].done.is_set():
                del self._entries[key]

    def _work(self, job: Job, entry: _Entry) -> None:
        try:
            entry.answer = self._run(job, [self._store.path(digest) for digest in job.files])
        except Exception as error:  # whatever it is, the agent lives and its client is told
            _log.warning("A job failed: %s", error)
            entry.answer = {"failure": f"{type(error).__name__}: {error}"}
        finally:
            self._store.release()
            entry.ended_at = time.monotonic()
            entry.done.set()

    def _forget_old(self) -> None:
        ended = [key for key, entry in self._entries.items() if entry.done.is_set()]
        late = time.monotonic() - KEPT_S
        for place, key in enumerate(ended):
            if self._entries[key].ended_at < late or place < len(ended) - MOST_KEPT:
                del self._entries[key]
