"""Every executor keeps its contract; in processes, a worker that is killed or stuck costs one retry,
then its candidate has failed.
"""

import copy
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import pytest

from nas.executors import EXECUTORS
from nas.executors.processes import Processes
from nas.prepare.reopen import Trained, reopened
from nas.system.reporter import Silent
from nas.testing.executors import CHECKS
from search_spaces import Candidate


@pytest.fixture
def trained(own_run: Path) -> Trained:
    return reopened(own_run, Silent())


@pytest.mark.parametrize("check", CHECKS, ids=attrgetter("__name__"))
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.long) if n == "ray" else n for n in EXECUTORS.names()],
)
def test_any_executor(name: str, check: Callable[[str], None]) -> None:
    check(name)


def candidates(trained: Trained, num: int) -> list[Candidate]:
    space = trained.problem.space
    encodings = [[i % n for n in space.cardinalities] for i in range(num)]
    return list({c.key: c for c in map(space.candidate, encodings)}.values())


@pytest.fixture
def pool(trained: Trained) -> Iterator[object]:
    with Processes(workers=1).session(trained.scoring) as session:
        yield session


def worker_at_work(pool: object, candidate: Candidate) -> int:
    """The process that scores the candidate."""
    pool.start(candidate)  # type: ignore[attr-defined]
    (worker,) = pool._busy  # type: ignore[attr-defined]
    return int(worker._process.pid)


def test_a_worker_that_is_killed_once_costs_nothing(pool: object, trained: Trained) -> None:
    (candidate,) = candidates(trained, 1)
    os.kill(worker_at_work(pool, candidate), signal.SIGKILL)
    key, score = pool.finished()  # type: ignore[attr-defined]
    assert (key, score) == (candidate.key, trained.scorer(candidate))


def test_a_worker_that_is_stuck_twice_is_a_failure(trained: Trained) -> None:
    (candidate,) = candidates(trained, 1)
    with Processes(workers=1, score_limit_s=1e-4).session(trained.scoring) as session:
        session.start(candidate)
        key, score = session.finished()
    assert key == candidate.key
    assert score.failure == "the process that scored it took longer than 0.0001 s, 2 times"
    assert score.metrics == {}


def test_a_defect_in_a_score_is_not_taken_for_a_failed_candidate(trained: Trained) -> None:
    broken = copy.copy(trained.scorer)
    broken._images = []
    scoring = replace(trained.scoring, scorer=broken)
    with Processes(workers=1).session(scoring) as session:
        session.start(candidates(trained, 1)[0])
        with pytest.raises((RuntimeError, ValueError), match="cat"):
            session.finished()
    assert multiprocessing.active_children() == []


@pytest.mark.long
def test_workers_end_with_the_process_that_started_them(own_run: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from nas.executors.processes import Processes\n"
        "from nas.system.reporter import Silent; from nas.prepare.reopen import reopened\n"
        "trained = reopened(Path(sys.argv[1]), Silent())\n"
        "with Processes(workers=1).session(trained.scoring) as session:\n"
        "    print(session._idle[0]._process.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", program, str(own_run)], stdout=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    pid = int(started.stdout.readline())
    started.kill()
    started.wait()
    started.stdout.close()
    deadline = time.monotonic() + 60.0
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{pid}").exists()
