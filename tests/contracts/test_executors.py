"""What every executor keeps: run over the registry, on a real trained supernet.

Scores are those of the scorer in this process, whatever the order; a worker that is killed or stuck
costs one retry, then its candidate has failed; nothing outlives the session.
"""

import copy
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nas.executors import EXECUTORS, AbstractExecutor
from nas.executors.processes import Processes
from nas.prepare.reopen import Trained, reopened
from nas.search import score_candidates
from nas.system.reporter import Silent
from search_spaces import Candidate


@pytest.fixture
def trained(own_run: Path) -> Trained:
    return reopened(own_run, Silent())


@pytest.fixture(params=EXECUTORS.names())
def executor(request: pytest.FixtureRequest) -> AbstractExecutor:
    found = EXECUTORS.get(request.param)(workers=2)
    assert isinstance(found, AbstractExecutor)
    return found


def candidates(trained: Trained, num: int) -> list[Candidate]:
    space = trained.problem.space
    encodings = [[i % n for n in space.cardinalities] for i in range(num)]
    return list({c.key: c for c in map(space.candidate, encodings)}.values())


def children() -> list[int]:
    """Processes that this one has started and that are still there."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True
    ).stdout
    of_ray = [int(line.split()[0]) for line in listed.splitlines() if "ray" in line]
    return of_ray + [int(process.pid or 0) for process in multiprocessing.active_children()]


def test_scores_are_those_of_this_process(executor: AbstractExecutor, trained: Trained) -> None:
    wanted = candidates(trained, 4)
    with executor.session(trained.scoring) as session:
        for candidate in wanted:
            session.start(candidate)
        found = dict(session.finished() for _ in wanted)
    assert found == {candidate.key: trained.scorer(candidate) for candidate in wanted}
    assert children() == []


def test_the_records_do_not_depend_on_the_executor(
    executor: AbstractExecutor, trained: Trained, own_run: Path
) -> None:
    """Same seed, same lag: the same trials.jsonl as in this process."""
    name = EXECUTORS.names()[[EXECUTORS.get(n) for n in EXECUTORS.names()].index(type(executor))]
    written = []
    for kind in ("inline", name):
        for path in [own_run / "trials.jsonl", *own_run.glob("measurements/*")]:
            path.unlink(missing_ok=True)
        config = replace(trained.config, executor=kind, workers=2, trials=8)
        phases = replace(trained.phases, trials=8, lag=2)
        score_candidates(replace(trained, config=config, phases=phases), Silent())
        written.append((own_run / "trials.jsonl").read_bytes())
    assert written[0] == written[1]
    assert written[0].count(b"\n") == 8


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
    assert children() == []


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
