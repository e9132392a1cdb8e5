"""Processes that torchrun starts, or `--devices`: what they learn together, and how they end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from nas.cli import codes
from nas.run.directory import WEIGHTS
from nas.run.trained_by import trained_by
from supernets._rank_worker import COMMAND_DIED
from supernets.checkpoint import read_tensors

pytestmark = pytest.mark.long
PROGRAM = """import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
from nas.cli.app import main; main()
"""
TRAIN = (
    *("train", "--space", "toy", "--data", "digits", "--resolution", "16", "--time", "10s"),
    *("--set", "shards=2", "--set", "batch_size=16", "--set", "max_macs=0"),
    *("--set", "precision=fp32", "--set", "checkpoint_s=0"),
)
TORCHRUN, DEVICES = "torchrun", "--devices"
HOWS = (TORCHRUN, DEVICES)


def command(tmp_path: Path, how: str, *arguments: object) -> list[str]:
    """The command, as one process, or as two that share training."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    words = [str(program), *map(str, arguments)]
    if how == TORCHRUN:
        started = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        return [sys.executable, *started, *words]
    return [sys.executable, *words, *([DEVICES, "2"] if how else [])]


def run(tmp_path: Path, how: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    words = command(tmp_path, how, *arguments)
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return read_tensors(run / WEIGHTS)[0]


def begun(tmp_path: Path, how: str, out: Path) -> subprocess.Popen[str]:
    """A training that has a checkpoint and would take for ever."""
    words = command(tmp_path, how, *TRAIN, "--set", "steps=100000", "--out", out)
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not (out / "train_state/state.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.05)
    return process


def ranks(launched: int, how: str) -> dict[bool, int]:
    """Process numbers: of rank 0 by False, of the other one by True."""
    if how == DEVICES:
        server = [pid for pid in children(launched) if "forkserver" in command_line(pid)]
        (worker,) = [pid for parent in server for pid in children(parent)]
        return {False: launched, True: worker}
    found = {}
    for pid in children(launched):
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        for entry in environment:
            if entry.startswith(b"RANK="):
                found[entry != b"RANK=0"] = pid
    assert len(found) == 2
    return found


def children(pid: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in listed.stdout.split()]


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def assert_gone(pids: dict[bool, int]) -> None:
    until = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids.values()):
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize("how", HOWS)
def test_two_ranks_learn_what_one_process_learns_and_one_continues_what_two_began(
    tmp_path: Path, how: str
) -> None:
    asked = (*TRAIN, "--set", "steps=100")
    one, two, broken_off = (tmp_path / name for name in ("one", "two", "begun"))
    found = run(tmp_path, how, *asked, "--json", "--out", two)
    assert found.returncode == codes.OK, found.stderr
    assert json.loads(found.stdout)["run"] == str(two)  # nothing else is printed there
    with subprocess.Popen(
        command(tmp_path, how, *asked, "--out", broken_off), stdout=subprocess.PIPE, text=True
    ) as process:
        while not (broken_off / "train_state/state.safetensors").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    for of_run in (one, broken_off):
        found = run(tmp_path, "", *asked, "--out", of_run)
        assert found.returncode == codes.OK, found.stderr
    expected = weights(one)
    for name, tensor in expected.items():
        torch.testing.assert_close(weights(two)[name], tensor, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(weights(broken_off)[name], tensor, atol=1e-5, rtol=1e-5)
    assert trained_by(two) == "cpu, 2 processes"
    assert trained_by(broken_off).startswith("cpu, 2 processes")
    assert "trained on" in (two / "report/report.md").read_text()


@pytest.mark.parametrize("how", HOWS)
def test_a_rank_that_dies_ends_all_and_nothing_is_lost(tmp_path: Path, how: str) -> None:
    out = tmp_path / "run"
    with begun(tmp_path, how, out) as process:
        pids = ranks(process.pid, how)
        os.kill(pids[True], signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == (codes.FAILED if how == TORCHRUN else codes.WRONG_USE)
    assert errors.count("a process that shares the steps of training with this one has ended") == 1
    assert_gone(pids)
    assert read_tensors(out / "train_state/state.safetensors")


def test_the_command_that_dies_takes_its_ranks_with_it(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with begun(tmp_path, DEVICES, out) as process:
        pids = ranks(process.pid, DEVICES)
        os.kill(pids[False], signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    assert errors.count(COMMAND_DIED) == 1
    assert_gone(pids)
    assert read_tensors(out / "train_state/state.safetensors")


@pytest.mark.parametrize("how", HOWS)
def test_ctrl_c_once_ends_all(tmp_path: Path, how: str) -> None:
    with begun(tmp_path, how, tmp_path / "run") as process:
        pids = ranks(process.pid, how)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode
    assert errors.count("nas: interrupted; the same command continues.") == 1
    assert_gone(pids)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("report", "absent"), "torchrun has started 2 processes, and this command needs one"),
        ((*TRAIN, "--set", "shards=1"), "torchrun has started 2 processes, and a step has 1"),
    ],
)
def test_torchrun_says_one_message_of_ours_for_what_it_is_not_for(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    found = run(tmp_path, TORCHRUN, *arguments)
    assert found.returncode == codes.FAILED  # torch's own; ours is in its summary
    assert found.stderr.count(words) == 1
    assert f"exitcode  : {codes.WRONG_USE}" in found.stderr
