"""Ranks that we start on this machine: what they learn, what they leave, and how they end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from nas.prepare.speed import shared_cores
from nas.testing.methods import small_images
from search_spaces import SearchSpace, UserError
from supernets import _rank_worker
from supernets._group import RankDiedError, is_commanding, num_machines, num_ranks, num_ranks_here
from supernets._rank_worker import COMMAND_DIED, ranks_here
from supernets._worker import Worker
from supernets.checkpoint import read_tensors
from supernets.images import Images
from supernets.methods.sortednet import SortedNet
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from supernets.train import CHECKPOINT_FILE, Progress, train, turns_of
from tests.strategies import mini_space

PLAN = TrainPlan(steps=12, batch_size=4, shards=3, rank_at=0.3, checkpoint_s=0.0, optimizer="sgd")
"""Without Adam, which makes steps of gradients that are nothing but rounding."""

WAITS = """
import time
from supernets import _rank_worker, _worker
started = []
class Seen(_worker.Worker):
    def __init__(self, work):
        super().__init__(work)
        started.append(self._process.pid)
_rank_worker.Worker = Seen
with _rank_worker.ranks_here(3):
    print(*started, flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    small = mini_space(operators=("mbconv",)).with_policy(("fp32",), (0, 0.5))
    return small.restricted({"stage1.depth": (1,)})


@pytest.fixture(scope="module")
def images() -> Images:
    return small_images()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Worker]]:
    """The workers that are started."""
    found: list[Worker] = []

    def start(work: object) -> Worker:
        found.append(Worker(work))  # type: ignore[arg-type]
        return found[-1]

    monkeypatch.setattr(_rank_worker, "Worker", start)
    yield found
    assert not dist.is_initialized()
    assert not any(worker._process.is_alive() for worker in found)


def trained(
    space: SearchSpace, images: Images, folder: Path, *, processes: int, at_step: object = None
) -> Supernet:
    """Trained, or up to where the other argument raises."""
    supernet = Supernet(space)
    method = SortedNet(space=space, sparse_from=turns_of(PLAN.rank_step, PLAN)[0])

    def on_step(numbers: Progress) -> None:
        if callable(at_step):
            at_step(numbers["step"])

    train(
        supernet, images, PLAN, SupernetBatches(PLAN, method), directory=folder,
        processes=processes, threads=1, on_step=on_step,
        before_step=lambda step: supernet.rank() if step == PLAN.rank_step else None,
    )  # fmt: skip
    return supernet


def test_ranks_learn_what_one_process_learns_and_one_continues(
    space: SearchSpace, images: Images, tmp_path: Path, started: list[Worker]
) -> None:
    folders = [tmp_path / name for name in ("alone", "ranks", "begun")]
    for folder in folders:
        folder.mkdir()
    expected = trained(space, images, folders[0], processes=1).state_dict()

    def stop(step: float) -> None:
        if step == 7:
            raise UserError("stopped")

    with ranks_here(2):
        assert (num_ranks(), num_ranks_here(), num_machines()) == (2, 2, 1)
        assert is_commanding()
        assert shared_cores(PLAN)["processes"] == 2
        found = trained(space, images, folders[1], processes=2).state_dict()
        with pytest.raises(UserError, match="stopped"):
            trained(space, images, folders[2], processes=2, at_step=stop)
    assert not is_commanding()
    assert num_ranks() == 1
    continued = trained(space, images, folders[2], processes=1).state_dict()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(continued[name], tensor, atol=1e-5, rtol=1e-5)


def test_a_rank_that_is_killed_is_one_message_and_the_checkpoint_is_whole(
    space: SearchSpace,
    images: Images,
    tmp_path: Path,
    started: list[Worker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("supernets.train.CHECKPOINT_SHARE", 1e12)

    def kill(step: float) -> None:
        if step == 4:
            os.kill(started[0]._process.pid, signal.SIGKILL)

    with pytest.raises(RankDiedError, match="What was recorded is whole"), ranks_here(2):
        trained(space, images, tmp_path, processes=2, at_step=kill)
    assert read_tensors(tmp_path / CHECKPOINT_FILE)[1]["step"] == 4
    trained(space, images, tmp_path, processes=1)  # continues


def test_an_error_in_a_batch_is_raised_here_and_all_ranks_go_on(
    space: SearchSpace, images: Images, tmp_path: Path, started: list[Worker]
) -> None:
    with ranks_here(2):
        unknown = replace(images, labels_N=images.labels_N + 1000)
        with pytest.raises(IndexError):
            trained(space, unknown, tmp_path, processes=2)
        trained(space, images, tmp_path, processes=2)


def test_a_rank_that_does_not_begin_is_said_and_the_others_are_ended(
    monkeypatch: pytest.MonkeyPatch, started: list[Worker]
) -> None:
    def receive(self: Worker) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        raise self._died()

    monkeypatch.setattr(Worker, "receive", receive)
    with pytest.raises(UserError, match="ended with code -9"), ranks_here(3):
        pytest.fail("it has begun")


def test_the_network_of_this_machine_sees_nothing_of_them(started: list[Worker]) -> None:
    """Every socket on which this process listens is on loopback."""
    if not Path("/proc/net/tcp").exists():
        pytest.skip("no /proc")
    before = listening()
    with ranks_here(2):
        found = listening() - before
    assert all(address in ("0100007F", "00000000000000000000000001000000") for address, _ in found)


def listening() -> set[tuple[str, str]]:
    """Addresses and inodes of the sockets on which this process listens."""
    own = set()
    for entry in os.scandir("/proc/self/fd"):
        try:
            own.add(os.readlink(entry.path))
        except FileNotFoundError:
            continue
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            continue
        for line in Path(table).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in own:
                found.add((words[1].partition(":")[0], words[9]))
    return found


def test_ranks_end_with_the_one_that_commands_them_and_one_says_so() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 2
        process.kill()
        _, errors = process.communicate(timeout=30)
    assert errors.strip() == COMMAND_DIED
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < until
        time.sleep(0.05)
