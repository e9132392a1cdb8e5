"""A disk that is really full, in every phase: one message, nothing lost, and then it continues."""

import gc
import multiprocessing.util
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.cli import app as cli
from nas.data import load_data
from tests.own_data import write_classes
from tests.small_run import SmallRun, results

PAGE = 4096
DISK_BYTES = 32 << 20
LOCKS = (".lock", ".lock_holder")
MOVED = re.compile("^(finalists|references)/")


class Disk:
    """A small disk of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self, *, left_bytes: int) -> None:
        """Leave so much room, in whole pages."""
        free = os.statvfs(self.path)
        taken = free.f_bavail * free.f_frsize - left_bytes // PAGE * PAGE
        self._filler.write_bytes(bytes(max(0, taken)))

    def make_room(self) -> None:
        """Take away what `fill` put there."""
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}"]
    try:
        mounted = subprocess.run(
            ["mount", *options, "tmpfs", path], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("there is no `mount` here")
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    yield Disk(path)
    subprocess.run(["umount", "-l", path], check=True)


def nas(*arguments: str) -> int:
    """The exit code."""
    with pytest.raises(SystemExit) as exit_:
        cli.main(arguments)
    code = exit_.value.code
    assert isinstance(code, int)
    del exit_
    gc.collect()  # its traceback holds the run, and with it the lock, as no ended process does
    return code


def records(run: Path) -> dict[str, bytes]:
    """Every file of a run but the lock.

    Networks count as where they may end up: those on the front, also references, move there.
    """
    files = (path for path in run.rglob("*") if path.is_file() and path.name not in LOCKS)
    names = {path: str(path.relative_to(run)) for path in files}
    return {MOVED.sub("front/", name): path.read_bytes() for path, name in names.items()}


def lost(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    """What is not there any more as it was; lines may have been added."""
    return [
        name
        for name, content in before.items()
        if not after.get(name, b"").startswith(content)
        or (not name.endswith(".jsonl") and after[name] != content)
    ]


FINISHED = ("front.json", "report")
CASES = {
    "begin": (["*"], 0, "config.toml"),
    "profile": (["profile/*", "space.json", "plan.json", *FINISHED], PAGE, "rows.jsonl"),
    "space": (["space.json", "plan.json", *FINISHED], 0, "space.json"),
    "plan": (["plan.json", *FINISHED], 0, "plan.json"),
    "train": (["supernet*", "train_state/*", *FINISHED], 300_000, "state.safetensors"),
    "weights": (["supernet*", *FINISHED], 100_000, "supernet.safetensors"),
    "search plan": (["search_plan.json", "trials.jsonl", *FINISHED], 0, "search_plan.json"),
    "measurement": (
        ["measurements/*", "trials.jsonl", *FINISHED],
        2 * PAGE,
        "measurements/|trials.jsonl",
    ),
    "trial": (["trials.jsonl", *FINISHED], 0, "trials.jsonl"),
    "finetune": (["finetunes/*/network.*", *FINISHED], 60_000, "finetunes/"),
    "export": (["front/*", "references/*", *FINISHED], 300_000, "model."),
    "timing": (["*/*/card.json", "timings/*", *FINISHED], PAGE, "timings/"),
    "verification": (["*/*/card.json", *FINISHED], PAGE, "card.json"),
    "front": (["front.json", "report"], 0, "front.json"),
    "report": (["report"], PAGE, "report|front.json"),  # which is written again
}
"""What is not there yet, the bytes that are left, and what the message names."""

FIRST = ("export",)
"""A folder of files; all others are among the long tests."""


@pytest.mark.parametrize(
    "case",
    [c if c in FIRST else pytest.param(c, marks=pytest.mark.long) for c in CASES],
)
def test_a_full_disk_is_one_message_and_afterwards_the_search_continues(
    case: str, small_run: SmallRun, disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    without, left_bytes, named = CASES[case]
    run = small_run.copied(disk.path, *without)
    command = ["search", "--config", str(small_run.path / "config.toml"), "--out", str(run)]
    before = records(run)
    disk.fill(left_bytes=left_bytes)
    with small_run.remembering(exports=case != "export"):
        assert nas(*command) == cli.FAILED
        message = capsys.readouterr().err
        assert re.match(f"nas: cannot (read or )?write '{disk.path}", message)
        assert message.count("\n") == 1
        anywhere = ("events.jsonl", "finalists/")  # a line or a folder that needs a new page
        assert any(name in message for name in (*named.split("|"), *anywhere)), message
        assert "No space left on device" in message
        after = records(run)
        assert lost(before, after) == []
        assert [name for name in after if "/." in f"/{name}"] == []
        disk.make_room()
        assert nas(*command) == cli.OK
    assert lost(after, records(run)) == []
    if case == "begin":  # it trains finalists further by the clock
        assert results(run)["trials.jsonl"] == results(small_run.path)["trials.jsonl"]
    else:
        assert results(run) == results(small_run.path)
    assert (run / "report" / "report.html").stat().st_size > 0


@pytest.mark.parametrize("pages", [0, 8, 9], ids=["images", "labels", "facts"])
def test_a_cache_that_is_full_holds_nothing_by_halves(
    pages: int, disk: Disk, tmp_path: Path
) -> None:
    root = write_classes(tmp_path / "pets", {"cat": 20, "dog": 20})  # 8 pages of images
    cache = disk.path / "cache"
    disk.fill(left_bytes=pages * PAGE)
    with pytest.raises(OSError, match=re.escape(str(cache))):
        load_data(str(root), cache=cache)
    assert [path for path in cache.iterdir() if path.is_dir()] == []
    disk.make_room()
    assert len(load_data(str(root), cache=cache).train) == 30


def test_a_full_folder_for_temporary_files_is_named(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    multiprocessing.util.get_temp_dir()  # which a process asks for once: not this one
    disk.fill(left_bytes=2 * PAGE)
    monkeypatch.setattr("tempfile.tempdir", str(disk.path))
    command = ["search", "--space", "toy", "--data", "digits", "--resolution", "16"]
    quick = ["--time", "10s", "--set", "max_macs=0"]
    assert nas(*command, *quick, "--out", str(tmp_path / "run")) == cli.FAILED
    assert f"cannot read or write '{disk.path}" in capsys.readouterr().err
