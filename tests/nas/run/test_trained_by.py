"""What trained a run, in words."""

from pathlib import Path

import pytest

from nas.run.config import Config
from nas.run.directory import Run
from nas.run.trained_by import in_words, record, trained_by

GPU = {"event": "trained_by", "device": "cuda:0", "accelerator": "NVIDIA H200, 150.0 GB"}


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([], ""),
        ([{"event": "message", "text": "x"}], ""),
        ([{**GPU, "processes": 1, "machines": 1}], "cuda:0 (NVIDIA H200, 150.0 GB), 1 process"),
        (
            [{**GPU, "processes": 16, "machines": 2}],
            "cuda:0 (NVIDIA H200, 150.0 GB), 16 processes on 2 machines",
        ),
        ([GPU], "cuda:0 (NVIDIA H200, 150.0 GB), 1 process"),
    ],
)
def test_devices_and_processes_are_named(events: list[dict[str, object]], words: str) -> None:
    assert in_words(events) == words


def test_a_run_that_continues_alike_says_it_once(tmp_path: Path) -> None:
    assert trained_by(tmp_path / "absent") == ""
    run = Run.open(tmp_path / "run", Config())
    for processes in (2, 2, 1):
        record(run, device="cpu", processes=processes, machines=1)
    assert trained_by(run.path) == "cpu, 2 processes, then cpu, 1 process"
