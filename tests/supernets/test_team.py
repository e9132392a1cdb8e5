"""Processes that share a step: they change nothing of what is learnt, and may be killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nas.testing.methods import small_images
from search_spaces import SPACES, SearchSpace, UserError, load_plugins
from supernets._worker import Worker, WorkerDiedError, answered
from supernets.images import Images
from supernets.methods.sortednet import SortedNet
from supernets.pace import seconds_per_step
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from supernets.team import Team, share, unshare, views
from supernets.train import (
    CHECKPOINT_FILE,
    Progress,
    fresh_state,
    train,
    turns_of,
)
from tests.strategies import mini_space, noise

PLAN = TrainPlan(steps=20, batch_size=4, shards=3, rank_at=0.3, checkpoint_s=0.0)
"""Three batches: with two processes, one of them is alone in the second round."""


FAILS_ELSEWHERE = """
import multiprocessing
from search_spaces import SPACES, AbstractSpace
assert multiprocessing.parent_process() is None, "elsewhere"

def work(message):
    return message

@SPACES.register
class Mine(AbstractSpace):
    def build(self, **sizes):
        raise NotImplementedError
"""


class StoppedError(Exception):
    """Raised where a test has seen enough of a training."""


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    """Two operators with sparsity; a step takes some 20 ms."""
    small = mini_space(operators=("mbconv", "window")).with_policy(("fp32",), (0, 0.5))
    return small.restricted({"stage1.depth": (1,)})


@pytest.fixture(scope="module")
def images() -> Images:
    return small_images()


def lessons(space: SearchSpace, plan: TrainPlan) -> SupernetBatches:
    method = SortedNet(space=space, sparse_from=turns_of(plan.rank_step, plan)[0])
    return SupernetBatches(plan, method)


def trained(
    space: SearchSpace,
    images: Images,
    folder: Path,
    *,
    processes: int,
    plan: TrainPlan = PLAN,
    on_step: Callable[[Progress], None] = lambda numbers: None,
) -> Supernet:
    supernet = Supernet(space)
    train(
        supernet, images, plan, lessons(space, plan), directory=folder, processes=processes,
        threads=1, on_step=on_step,
        before_step=lambda step: supernet.rank() if step == plan.rank_step else None,
    )  # fmt: skip
    return supernet


@pytest.fixture(scope="module")
def alone(space: SearchSpace, images: Images, tmp_path_factory: pytest.TempPathFactory) -> Supernet:
    """Trained by one process, without an interruption."""
    return trained(space, images, tmp_path_factory.mktemp("alone"), processes=1)


def assert_equal(first: torch.nn.Module, second: torch.nn.Module) -> None:
    states = first.state_dict(), second.state_dict()
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name


def stop_after(step: int) -> Callable[[Progress], None]:
    def on_step(numbers: Progress) -> None:
        if numbers["step"] == step:
            raise StoppedError

    return on_step


@pytest.mark.parametrize("channels_last", [False, True])
def test_two_processes_learn_what_one_learns(
    space: SearchSpace, images: Images, alone: Supernet, tmp_path: Path, channels_last: bool
) -> None:
    """Bit by bit, from the start over the ranking of channels to the end."""
    plan = replace(PLAN, channels_last=channels_last)
    expected = alone
    if channels_last:
        (tmp_path / "alone").mkdir()
        expected = trained(space, images, tmp_path / "alone", plan=plan, processes=1)
    seen: list[Progress] = []
    found = trained(space, images, tmp_path, plan=plan, processes=2, on_step=seen.append)
    assert_equal(found, expected)
    assert [numbers["step"] for numbers in seen] == list(range(1, PLAN.steps + 1))
    assert not any(tensor.is_shared() for tensor in found.parameters())
    assert {"loss", "loss_largest", "loss_smallest", "loss_random"} <= seen[-1].keys()


def test_training_continues_with_another_number_of_processes(
    space: SearchSpace,
    images: Images,
    alone: Supernet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("supernets.train.CHECKPOINT_SHARE", 1e12)
    for processes, step in ((2, 8), (1, 11)):
        with pytest.raises(StoppedError):
            trained(space, images, tmp_path, processes=processes, on_step=stop_after(step))
    assert_equal(trained(space, images, tmp_path, processes=2), alone)


def test_a_killed_process_is_one_message_and_what_was_recorded_continues(
    space: SearchSpace,
    images: Images,
    alone: Supernet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("supernets.train.CHECKPOINT_SHARE", 1e12)
    started: list[int] = []
    really_start = Worker.__init__

    def start(worker: Worker, work: Callable[..., object]) -> None:
        really_start(worker, work)
        started.append(worker._process.pid)

    def kill(numbers: Progress) -> None:
        if numbers["step"] == 6:
            os.kill(started[0], signal.SIGKILL)

    monkeypatch.setattr(Worker, "__init__", start)
    with pytest.raises(UserError, match="has ended with code -9.*the same command continues"):
        trained(space, images, tmp_path, processes=2, on_step=kill)
    state = fresh_state(Supernet(space), PLAN)
    state.load(tmp_path / CHECKPOINT_FILE)
    assert state.step == 6
    assert_equal(trained(space, images, tmp_path, processes=1), alone)


def test_the_gradient_is_the_mean_over_the_batches(space: SearchSpace, images: Images) -> None:
    teaches = lessons(space, PLAN)
    supernet = Supernet(space).train()
    with Team(supernet, images, teaches) as team:
        losses, _ = team.add_gradients(range(3), {})
    found = [parameter.grad for parameter in supernet.parameters()]
    alone: list[list[torch.Tensor | None]] = []
    expected_losses = []
    for turn in range(3):
        supernet.zero_grad(set_to_none=True)
        expected_losses += teaches(supernet, images, turn, {})[0]
        alone.append([parameter.grad for parameter in supernet.parameters()])
    assert losses == expected_losses
    for mean, parts in zip(found, zip(*alone, strict=True), strict=True):
        known = [part for part in parts if part is not None]
        assert (mean is None) == (not known)
        if mean is not None:
            torch.testing.assert_close(mean, sum(known) / 3)


def test_an_error_in_another_process_is_raised_here() -> None:
    worker = Worker(_fail_or_echo)
    try:
        worker.send(3)
        assert worker.receive() == 3
        worker.send("bad")
        with pytest.raises(UserError, match="'bad' is no number"):
            worker.receive()
        worker.send(4)
        assert answered([worker], 10.0) == [worker]
        assert worker.receive() == 4, "it goes on after an error"
        os.kill(worker._process.pid, signal.SIGKILL)
        with pytest.raises(WorkerDiedError):
            worker.receive()
        with pytest.raises(WorkerDiedError):
            worker.send(5)
    finally:
        worker.close()


def _fail_or_echo(message: object) -> object:
    if not isinstance(message, int):
        raise UserError(f"{message!r} is no number.")
    return message


@pytest.mark.usefixtures("plugins")
def test_a_plug_in_that_fails_in_another_process_is_the_answer_to_all(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(FAILS_ELSEWHERE)
    load_plugins([file])
    mine = sys.modules[SPACES.get("mine").__module__]
    worker = Worker(mine.work)
    try:
        for _ in range(2):
            worker.send(mine.Mine())
            with pytest.raises(UserError, match=r"mine.py' failed with AssertionError: .*line 4"):
                worker.receive()
    finally:
        worker.close()


def test_no_process_outlives_the_one_that_started_it() -> None:
    code = (
        "import time\n"
        "from supernets import _worker\n"
        "_worker.IMPORTED_BEFORE = ['torch']\n"
        "worker = _worker.Worker(time.sleep)\n"
        "worker.send(0)\n"
        "worker.receive()\n"
        "print(worker._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
    deadline = time.monotonic() + 60
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is not only waiting to be asked for its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_speed_is_measured_with_as_many_processes_as_there_are_batches(
    space: SearchSpace, images: Images
) -> None:
    plan = replace(PLAN, shards=1)
    seconds = seconds_per_step(
        Supernet(space), images, plan, lessons(space, plan), steps=2, processes=2, threads=1
    )
    assert seconds > 0


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_shared_tensors_keep_values_and_layout(layout: torch.memory_format) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    network.to(memory_format=layout)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    strides = [tensor.stride() for tensor in network.parameters()]
    parameters = list(network.parameters())
    for change, is_shared in ((share, True), (unshare, False)):
        change(network)
        assert all(a is b for a, b in zip(network.parameters(), parameters, strict=True))
        assert [tensor.stride() for tensor in parameters] == strides
        assert all(tensor.is_shared() == is_shared for tensor in parameters)
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, before[name]), name


def test_views_are_parts_of_one_piece_of_memory() -> None:
    like = [noise(2, 3), noise(4), noise(2, 3, 2, 2).to(memory_format=torch.channels_last)]
    flat = torch.zeros(sum(tensor.numel() for tensor in like))
    for part, tensor in zip(views(flat, like), like, strict=True):
        assert part.stride() == tensor.stride()
        part.copy_(tensor)
    assert flat[:6].tolist() == like[0].flatten().tolist()
    assert flat[6:10].tolist() == like[1].tolist()
    assert flat[10:].tolist() == like[2].permute(0, 2, 3, 1).flatten().tolist()
