"""Networks trained beside each other: as if each were alone, whatever happens to the others."""

import copy
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nas.standalone.beside import Job, train_beside
from nas.standalone.train import LOG, NETWORK, fresh_network, trained_alone
from nas.standalone.train import PLAN as PLAN_FILE
from search_spaces import SearchSpace, UserError
from supernets._worker import Worker
from supernets.images import Images
from supernets.plan import TrainPlan
from supernets.teachers import LiveTeacher, Teaching
from supernets.tune import tuned
from tests.strategies import mini_space, uniform

PLAN = TrainPlan(steps=60, batch_size=8, shards=1, checkpoint_s=0.0)
FEW_STEPS = 20


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return mini_space(operators=("mbconv",))


@pytest.fixture
def jobs(space: SearchSpace, digit_images: Images, tmp_path: Path) -> list[Job]:
    """Two networks of different sizes."""
    found = []
    for expansion in (1, 2):
        candidate = space.candidate(uniform(space, depth=1, expand_ratio=expansion))
        name = f"expansion{expansion}"
        (tmp_path / name).mkdir()
        network = fresh_network(space, candidate, seed=expansion)
        plan = replace(PLAN, seed=expansion)
        found.append(Job(name, network, digit_images, tmp_path / name, plan))
    return found


@pytest.fixture
def expected(jobs: list[Job], tmp_path: Path) -> dict[str, bytes]:
    """The weights that this process gives the same networks, one after the other."""
    assert torch.get_num_threads() == 1
    found = {}
    for job in jobs:
        folder = tmp_path / f"alone_{job.name}"
        folder.mkdir()
        trained_alone(copy.deepcopy(job.network), job.images, folder, lambda job=job: job.plan)
        found[job.name] = (folder / NETWORK).read_bytes()
    return found


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.standalone.beside.LOOK_S", 0.02)


def two_trainings(job: Job, folder: Path) -> Job:
    """As it is and then tuned, with a teacher: all that a finalist's training may have."""
    folder.mkdir()
    (folder / "before").mkdir()
    teacher = copy.deepcopy(job.network).eval()
    job = replace(job, teaching=Teaching(LiveTeacher(teacher)), plan=replace(PLAN, steps=FEW_STEPS))
    before = replace(job, folder=folder / "before")
    return replace(job, folder=folder, make=tuned, before=before)


def test_what_is_trained_in_two_ways_in_another_process_is_what_it_is_here(
    jobs: list[Job], tmp_path: Path, quick_looks: None
) -> None:
    here = two_trainings(
        replace(jobs[0], network=copy.deepcopy(jobs[0].network)), tmp_path / "here"
    )
    there = two_trainings(jobs[0], tmp_path / "there")
    told: list[tuple[int, int]] = []
    here.carry_out(lambda numbers, steps: None)
    train_beside(iter([there]), processes=1, on_progress=lambda name, *steps: told.append(steps))
    assert weights(here) == weights(there)
    assert there.before is not None
    assert here.before is not None
    assert weights(here.before) == weights(there.before) != weights(here)
    assert there.progress() == (2 * FEW_STEPS, 2 * FEW_STEPS)
    assert {steps for _, steps in told} <= {2 * FEW_STEPS}


def weights(job: Job) -> bytes:
    return (job.folder / NETWORK).read_bytes()


@pytest.mark.usefixtures("quick_looks")
def test_networks_beside_each_other_end_as_one_after_the_other(
    jobs: list[Job], expected: dict[str, bytes]
) -> None:
    seen: dict[str, list[int]] = {}

    def on_progress(name: str, step: int, steps: int) -> None:
        assert steps == PLAN.steps
        seen.setdefault(name, []).append(step)

    train_beside(iter(jobs), processes=2, on_progress=on_progress)
    assert seen.keys() == {job.name for job in jobs}
    assert all(steps == sorted(steps) and steps[-1] > 0 for steps in seen.values())
    for job in jobs:
        assert weights(job) == expected[job.name]
        assert not (job.folder / "train_state").exists()


@pytest.mark.usefixtures("quick_looks")
def test_after_a_kill_the_same_call_continues_to_the_very_same_weights(
    jobs: list[Job], expected: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    really_start = Worker.__init__

    def start(worker: Worker, work: Callable[..., object]) -> None:
        really_start(worker, work)
        started.append(worker._process.pid)

    def kill(name: str, step: int, steps: int) -> None:
        if step > 5 and (jobs[0].folder / "train_state/state.safetensors").exists():
            os.kill(started[0], signal.SIGKILL)

    monkeypatch.setattr(Worker, "__init__", start)
    with pytest.raises(UserError, match="has ended with code -9.*the same command continues"):
        train_beside(iter(jobs), processes=1, on_progress=kill)
    assert not (jobs[0].folder / NETWORK).exists()
    train_beside(iter(jobs), processes=1)
    for job in jobs:
        assert weights(job) == expected[job.name]
    steps = [json.loads(line)["step"] for line in (jobs[0].folder / LOG).read_text().splitlines()]
    assert steps.count(1) == 1, "went on from the checkpoint"


def ten_steps(network: torch.nn.Module, images: Images) -> TrainPlan:
    """Decided by a process that has the network."""
    assert next(network.parameters()).is_shared()
    return replace(PLAN, steps=min(10, len(images.labels_N)))


@pytest.mark.usefixtures("quick_looks")
def test_a_plan_may_be_decided_where_it_is_followed(jobs: list[Job]) -> None:
    timed = [replace(job, plan=ten_steps) for job in jobs]
    seen: set[int] = set()
    train_beside(iter(timed), processes=2, on_progress=lambda name, step, steps: seen.add(steps))
    for job in timed:
        assert json.loads((job.folder / PLAN_FILE).read_text())["steps"] == 10
    assert seen <= {10}
    decided = [(job.folder / PLAN_FILE).read_bytes() for job in timed]
    train_beside(iter(jobs), processes=2)
    assert [(job.folder / PLAN_FILE).read_bytes() for job in timed] == decided, "kept as it was"


def endless(folder: Path) -> None:
    """Trains a network beside this process for ever."""
    images = Images(
        images_NCHW=torch.zeros(64, 1, 16, 16, dtype=torch.uint8),
        labels_N=torch.arange(64) % 10,
        mean=(0.5,),
        std=(0.3,),
        can_flip=False,
        crop_padding=0,
    )
    space = mini_space(operators=("mbconv",))
    network = fresh_network(space, space.candidate(uniform(space, depth=1, expand_ratio=1)), 0)
    plan = replace(PLAN, steps=10**9, checkpoint_s=0.1)
    train_beside(iter([Job("endless", network, images, folder, plan)]), processes=1)


def ended(pid: int) -> bool:
    """Whether there is no such process, or only its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def descendants(pid: int) -> set[int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
def test_a_kill_of_whoever_started_them_ends_trainings(tmp_path: Path) -> None:
    code = "import sys, pathlib; from tests.nas.standalone.test_beside import endless; "
    code += "endless(pathlib.Path(sys.argv[1]))"
    root = Path(__file__).parents[3]
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=root) as process:
        wait_until(lambda: (tmp_path / "train_state/state.safetensors").exists(), 120)
        found = descendants(process.pid)
        assert found
        process.kill()
    wait_until(lambda: all(map(ended, found)), 60)


def wait_until(is_so: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def test_one_that_diverges_leaves_the_others_alone(jobs: list[Job]) -> None:
    bad, good = jobs
    bad = replace(bad, plan=replace(PLAN, learning_rate=1e30, warmup=0.0))
    good = replace(good, plan=replace(PLAN, steps=10))
    train_beside(iter([bad, good]), processes=1)
    assert not (bad.folder / NETWORK).exists()
    assert (good.folder / NETWORK).exists()


def test_a_job_is_drawn_when_a_process_is_free_and_what_is_finished_is_not_repeated(
    jobs: list[Job],
) -> None:
    jobs = [replace(job, plan=replace(PLAN, steps=3)) for job in jobs]
    finished_before: list[list[bool]] = []

    def drawn() -> Iterator[Job]:
        for job in jobs:
            finished_before.append([(job.folder / NETWORK).exists() for job in jobs])
            yield job

    train_beside(drawn(), processes=1)
    assert finished_before == [[False, False], [True, False]]
    before = [(job.folder / NETWORK).stat().st_mtime_ns for job in jobs]
    train_beside(drawn(), processes=1)
    assert [(job.folder / NETWORK).stat().st_mtime_ns for job in jobs] == before


def test_a_damaged_folder_is_one_message(jobs: list[Job]) -> None:
    (jobs[0].folder / "plan.json").write_text("{")
    with pytest.raises(UserError, match="plan.json' is damaged"):
        train_beside(iter(jobs), processes=1)


def test_without_jobs_no_process_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.standalone.beside.Worker", None)
    train_beside(iter(()), processes=4)
