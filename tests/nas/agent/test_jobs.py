"""Jobs: one at a time, the same one for who comes back, forgotten once its answer has arrived."""

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from nas.agent import jobs as of_agent
from nas.agent.jobs import Jobs, MissingError
from nas.agent.store import BusyError, Store
from nas.targets._agent import TIME, Job
from nas.testing.targets import fp32_file


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "files", 10**6)


@pytest.fixture
def job(store: Store, tmp_path: Path) -> Job:
    content = fp32_file(tmp_path).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    with fp32_file(tmp_path).open("rb") as file:
        store.receive(digest, len(content), file.read)
    return Job(kind=TIME, files=(digest,), threads=1, batch=1, seed=0, budget_s=1.0)


def test_who_comes_back_finds_the_job_and_one_runs_at_a_time(store: Store, job: Job) -> None:
    may_end, ran = threading.Event(), []

    def run(job: Job, files: Sequence[Path]) -> dict[str, object]:
        ran.append(job.seed)
        assert may_end.wait(10.0)
        return {"seed": job.seed, "is_there": files[0].is_file()}

    jobs = Jobs(store, run)
    assert not jobs.start(job)
    with pytest.raises(BusyError):
        store.receive("c" * 64, 1, lambda most: b"x")
    assert not jobs.start(replace(job, budget_s=0.5))  # however long it may take
    assert jobs.wait(job.key, 0.01) is None
    with pytest.raises(BusyError):
        jobs.start(replace(job, seed=1))
    may_end.set()
    assert jobs.wait(job.key, 10.0) == {"seed": 0, "is_there": True}
    assert jobs.start(job)
    jobs.forget(job.key)
    with pytest.raises(KeyError):
        jobs.wait(job.key, 0.0)
    assert not jobs.start(job)
    jobs.wait(job.key, 10.0)
    assert ran == [0, 0]


def test_files_come_first_and_failures_are_answers(store: Store, job: Job) -> None:
    def run(job: Job, files: Sequence[Path]) -> dict[str, object]:
        raise RuntimeError("no memory")

    jobs = Jobs(store, run)
    with pytest.raises(MissingError) as missing:
        jobs.start(replace(job, files=("b" * 64, *job.files, "b" * 64)))
    assert missing.value.digests == ["b" * 64]
    jobs.start(job)
    assert jobs.wait(job.key, 10.0) == {"failure": "RuntimeError: no memory"}


def test_answers_that_nobody_fetches_are_forgotten(
    store: Store, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_agent, "MOST_KEPT", 2)
    jobs = Jobs(store, lambda job, files: {"seed": job.seed})
    for seed in range(5):
        one = replace(job, seed=seed)
        jobs.start(one)
        assert jobs.wait(one.key, 10.0) == {"seed": seed}
    with pytest.raises(KeyError):
        jobs.wait(job.key, 0.0)
    assert jobs.wait(replace(job, seed=4).key, 0.0) == {"seed": 4}
    monkeypatch.setattr(of_agent, "KEPT_S", -1.0)
    jobs.start(replace(job, seed=9))
    with pytest.raises(KeyError):
        jobs.wait(replace(job, seed=4).key, 0.0)
