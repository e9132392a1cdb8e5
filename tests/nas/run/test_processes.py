"""Two processes and one run: the second is sent away at once, the report may be read at any time."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nas.run.config import Config
from nas.run.directory import LOCK_HOLDER
from reports import build_report
from tests.small_run import SmallRun, results

SEARCH = "from nas.cli.app import main; main()"
WAITING = """
import sys
from pathlib import Path
from nas.run.config import make_config
from nas.run.config_file import read_config
from nas.run.directory import Run
path = Path(sys.argv[1])
run = Run.open(path, make_config(read_config(path / "config.toml")))
with run.phase("train"):
    print("at work", flush=True)
    sys.stdin.read()
"""
"""Holds a run until its input ends, in the middle of a phase."""


def nas(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SEARCH, *arguments], capture_output=True, text=True, check=False
    )


@contextmanager
def at_work(run: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is at work on the run; it ends with the block."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", WAITING, str(run)], stdin=pipe, stdout=pipe, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        yield process


def command(config: Config, run: Path) -> list[str]:
    (run.parent / "same.toml").write_text(config.to_toml())
    return ["search", "--config", str(run.parent / "same.toml"), "--out", str(run)]


@pytest.mark.long
def test_the_second_process_is_refused_at_once_and_the_report_is_not(
    small_run: SmallRun, tmp_path: Path
) -> None:
    run = small_run.copied(tmp_path, "report", "front.json")
    with at_work(run) as first:
        before = results(run)
        second = nas(*command(small_run.config, run))
        assert second.returncode == 2
        assert f"run '{run}': process {first.pid} (on '" in second.stderr
        assert "is at work on it. Wait for it, or name another folder with --out." in second.stderr
        assert second.stdout == ""
        report = nas("report", str(run))
        assert (report.returncode, report.stderr) == (0, "")
        assert results(run) == before
        first.send_signal(signal.SIGKILL)
    assert str(first.pid) in (run / LOCK_HOLDER).read_text()
    with small_run.remembering():
        small_run.continued(run)
    assert results(run) == results(small_run.path)


def test_a_report_is_made_of_whatever_is_there(small_run: SmallRun, tmp_path: Path) -> None:
    order = [
        *("report", "front.json", "front", "references", "timings", "trials.jsonl"),
        *("measurements", "search_plan.json", "supernet.safetensors", "train_log.jsonl"),
        *("plan.json", "space.json", "profile", "events.jsonl", "data.json", "env.json"),
    ]
    for number in range(1, len(order) + 1):
        run = small_run.copied(tmp_path, *order[:number])
        assert build_report(run).stat().st_size > 0


def test_an_unfinished_line_is_neither_shown_nor_cut_off_by_the_report(
    small_run: SmallRun, tmp_path: Path
) -> None:
    run = small_run.copied(tmp_path)
    trials = run / "trials.jsonl"
    torn = trials.read_bytes() + b'{"schema":1,"numb'
    trials.write_bytes(torn)
    build_report(run)
    assert trials.read_bytes() == torn
