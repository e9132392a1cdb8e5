"""Processes that torchrun starts: what they learn together, and what happens when one ends."""

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
from supernets.checkpoint import read_tensors

pytestmark = pytest.mark.long
PROGRAM = "from nas.cli.app import main; main()"
TRAIN = (
    *("train", "--space", "toy", "--data", "digits", "--resolution", "16", "--time", "10s"),
    *("--set", "shards=2", "--set", "batch_size=16", "--set", "max_macs=0"),
    *("--set", "precision=fp32", "--set", "checkpoint_s=0"),
)


def command(tmp_path: Path, processes: int, *arguments: object) -> list[str]:
    """The command, as one process or as several of torchrun's."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    words = [str(program), *map(str, arguments)]
    if processes == 1:
        return [sys.executable, *words]
    started = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [sys.executable, *started, *words]


def run(tmp_path: Path, processes: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    words = command(tmp_path, processes, *arguments)
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return read_tensors(run / WEIGHTS)[0]


def test_two_ranks_learn_what_one_process_learns_and_one_continues_what_two_began(
    tmp_path: Path,
) -> None:
    asked = (*TRAIN, "--set", "steps=100")
    one, two, begun = (tmp_path / name for name in ("one", "two", "begun"))
    found = run(tmp_path, 2, *asked, "--out", two)
    assert found.returncode == codes.OK, found.stderr
    with subprocess.Popen(
        command(tmp_path, 2, *asked, "--out", begun), stdout=subprocess.PIPE, text=True
    ) as process:
        while not (begun / "train_state/state.safetensors").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    for of_run in (one, begun):
        found = run(tmp_path, 1, *asked, "--out", of_run)
        assert found.returncode == codes.OK, found.stderr
    expected = weights(one)
    for name, tensor in expected.items():
        torch.testing.assert_close(weights(two)[name], tensor, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(weights(begun)[name], tensor, atol=1e-5, rtol=1e-5)


def test_a_rank_that_dies_ends_all_and_nothing_is_lost(tmp_path: Path) -> None:
    asked = (*TRAIN, "--set", "steps=100000")
    out = tmp_path / "run"
    words = command(tmp_path, 2, *asked, "--out", out)
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not (out / "train_state/state.safetensors").exists():
            assert process.poll() is None
            time.sleep(0.05)
        pids = ranks(process.pid)
        os.kill(pids[True], signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    assert process.returncode
    assert "a process that torchrun has started beside this one has ended" in errors
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())
    assert read_tensors(out / "train_state/state.safetensors")


def test_ctrl_c_once_ends_all(tmp_path: Path) -> None:
    asked = (*TRAIN, "--set", "steps=100000")
    out = tmp_path / "run"
    words = command(tmp_path, 2, *asked, "--out", out)
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        while not (out / "train_state/state.safetensors").exists():
            assert process.poll() is None
            time.sleep(0.05)
        pids = ranks(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode
    assert errors.count("nas: interrupted; the same command continues.") == 1
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())


def ranks(launcher: int) -> dict[bool, int]:
    """Of the launcher's children: rank 0 by False, the other one by True."""
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(launcher)], capture_output=True, text=True, check=True
    ).stdout.split()
    found = {}
    for pid in map(int, listed):
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        for entry in environment:
            if entry.startswith(b"RANK="):
                found[entry != b"RANK=0"] = pid
    assert len(found) == 2
    return found
