"""Event files read back with TensorBoard's own reader: as recorded, one point per step, live or late."""

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nas.cli import app as cli
from nas.run.directory import WEIGHTS
from nas.run.tensorboard import OF_A_STEP, WithEvents, summary_writer
from nas.system.files import append_line, read_lines
from nas.train import is_supernet_run
from tests.small_run import SmallRun

pytest.importorskip("tensorboard")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Curves = dict[str, list[tuple[int, float]]]

TOY = ["--space", "toy", "--data", "digits", "--resolution", "16", "--threads", "1"]


class Silent:
    """A reporter that says nothing, and counts its ends."""

    closed = 0

    def phase(self, name: str, text: str) -> None: ...

    def advance(self, done: int, of: int, text: str = "") -> None: ...

    def note(self, text: str) -> None: ...

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def listening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], WithEvents]]:
    """Makes what one process has: a reporter of the run `tmp_path` that keeps its events.

    Event files are read in the order of their names, which have the second they were made in.
    """
    seconds = SimpleNamespace(time=itertools.count(1_000_000_000).__next__)
    monkeypatch.setattr("tensorboard.summary.writer.event_file_writer.time", seconds)
    made = []

    def make() -> WithEvents:
        made.append(WithEvents(Silent(), tmp_path, summary_writer()))
        return made[-1]

    yield make
    for reporter in made:
        reporter.close()


def curves(run: Path, name: str) -> Curves:
    """Tag -> (step, value) as TensorBoard shows them; every point that is stored."""
    reader = EventAccumulator(str(run / "tensorboard" / name), size_guidance={"scalars": 0})
    reader.Reload()
    return {
        tag: [(event.step, event.value) for event in reader.Scalars(tag)]
        for tag in reader.Tags()["scalars"]
    }


def log_step(run: Path, step: int, **changes: float) -> dict[str, float]:
    line = {"step": float(step), **dict.fromkeys(OF_A_STEP, 1.0 / step), **changes}
    append_line(run / "train_log.jsonl", line)
    return line


def log_trial(run: Path, number: int, metrics: dict[str, float | None]) -> None:
    predicted = {"macs": 1e6, "latency_ms": 0.5 + number}
    append_line(
        run / "trials.jsonl", {"number": number, "metrics": metrics, "predicted": predicted}
    )


def expected(lines: list[dict[str, float]], name: str) -> Any:
    said = [line for line in lines if name in line]  # a role is logged once it was trained
    return [(int(line["step"]), pytest.approx(line[name], rel=1e-6)) for line in said]


def test_steps_are_shown_while_training_goes_on(
    tmp_path: Path, listening: Callable[[], WithEvents]
) -> None:
    reporter = listening()
    reporter.phase("train", "")
    lines = []
    for step in (4, 8, 12):
        lines.append(log_step(tmp_path, step))
        reporter.advance(step, 12)
        shown = curves(tmp_path, "train")
        assert set(shown) == set(OF_A_STEP)
        assert shown["loss"] == expected(lines, "loss")


def test_the_last_line_is_shown_when_all_is_closed(
    tmp_path: Path, listening: Callable[[], WithEvents]
) -> None:
    reporter = listening()
    reporter.phase("train", "")
    reporter.advance(1, 1)
    lines = [log_step(tmp_path, 1)]
    reporter.close()
    assert curves(tmp_path, "train")["images_per_s"] == expected(lines, "images_per_s")


def test_trials_are_numbered_and_what_was_not_measured_is_no_point(
    tmp_path: Path, listening: Callable[[], WithEvents]
) -> None:
    log_trial(tmp_path, 0, {"accuracy": 0.5, "log_loss": 1.5})
    log_trial(tmp_path, 1, {})
    log_trial(tmp_path, 2, {"accuracy": 0.75, "log_loss": None})
    listening().phase("search", "")
    assert curves(tmp_path, "search") == {
        "accuracy": [(0, 0.5), (2, 0.75)],
        "log_loss": [(0, 1.5)],
        "latency_predicted_ms": [(0, 0.5), (1, 1.5), (2, 2.5)],
    }
    assert not (tmp_path / "tensorboard" / "train").exists()


def test_a_continued_training_shows_every_step_once_with_its_last_numbers(
    tmp_path: Path, listening: Callable[[], WithEvents]
) -> None:
    """Killed after step 50 with a checkpoint of step 20, so 30 to 50 are computed again."""
    first = listening()
    first.phase("train", "")
    for step in (10, 20, 30, 40, 50):
        log_step(tmp_path, step, images_per_s=1.0)
        first.advance(step, 60)
    second = listening()
    second.phase("train", "")
    assert [step for step, _ in curves(tmp_path, "train")["loss"]] == [10, 20, 30, 40, 50]
    for step in (30, 40, 50, 60):
        log_step(tmp_path, step, images_per_s=2.0)
        second.advance(step, 60)
        assert [s for s, _ in curves(tmp_path, "train")["loss"]] == list(range(10, step + 1, 10))
    speeds = [(10, 1.0), (20, 1.0), (30, 2.0), (40, 2.0), (50, 2.0), (60, 2.0)]
    assert curves(tmp_path, "train")["images_per_s"] == speeds
    listening().phase("search", "")
    assert curves(tmp_path, "train")["images_per_s"] == speeds


def test_a_reader_that_stays_open_shows_no_step_twice(
    tmp_path: Path, listening: Callable[[], WithEvents]
) -> None:
    first = listening()
    first.phase("train", "")
    for step in (10, 20, 30):
        log_step(tmp_path, step)
        first.advance(step, 40)
    reader = EventAccumulator(str(tmp_path / "tensorboard" / "train"))
    reader.Reload()
    assert [event.step for event in reader.Scalars("loss")] == [10, 20, 30]
    second = listening()
    second.phase("train", "")
    for step in (20, 30, 40):
        log_step(tmp_path, step)
        second.advance(step, 40)
    reader.Reload()
    assert [event.step for event in reader.Scalars("loss")] == [10, 20, 30, 40]


def test_half_a_line_waits_for_its_other_half(
    tmp_path: Path, listening: Callable[[], WithEvents]
) -> None:
    log_step(tmp_path, 1)
    with (tmp_path / "train_log.jsonl").open("a") as file:
        file.write('{"step":2.0,"loss"')
    reporter = listening()
    reporter.phase("train", "")
    assert curves(tmp_path, "train")["loss"] == [(1, 1.0)]
    log_step(tmp_path, 3)  # cuts off what a kill left
    reporter.advance(3, 3)
    assert [step for step, _ in curves(tmp_path, "train")["loss"]] == [1, 3]


def test_a_damaged_line_is_left_out(tmp_path: Path, listening: Callable[[], WithEvents]) -> None:
    log_step(tmp_path, 1)
    with (tmp_path / "train_log.jsonl").open("a") as file:
        file.write('{"loss":1.0}\n')
    reporter = listening()
    reporter.phase("train", "")
    log_step(tmp_path, 3)
    reporter.advance(3, 3)
    assert [step for step, _ in curves(tmp_path, "train")["loss"]] == [1, 3]


def test_nothing_is_written_before_the_directory_is_the_searchs_own(
    tmp_path: Path, listening: Callable[[], WithEvents]
) -> None:
    log_step(tmp_path, 1)
    before = sorted(tmp_path.rglob("*"))
    reporter = listening()
    reporter.phase("data", "")
    reporter.advance(1, 2)
    reporter.note("")
    reporter.close()
    assert sorted(tmp_path.rglob("*")) == before


def test_without_the_package_one_message_names_it_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [n for n in sys.modules if n.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delattr("torch.utils.tensorboard", raising=False)
    with pytest.raises(SystemExit) as exit_:
        cli.main(["search", *TOY, "--tensorboard", "--out", str(tmp_path / "run")])
    printed = capsys.readouterr()
    assert exit_.value.code == cli.WRONG_USE
    assert "pip install tensorboard" in printed.err
    assert "[tensorboard]" in printed.err
    assert printed.out == ""
    assert not (tmp_path / "run").exists()


def test_without_the_flag_tensorboard_is_never_imported() -> None:
    code = (
        "import nas, nas.search_flow, nas.run.tensorboard, reports, sys\n"
        "from nas.cli.console import make_reporter\n"
        "make_reporter(False).close()\n"
        "sys.exit('tensorboard' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 0


@pytest.mark.long
def test_a_killed_training_continues_to_the_same_weights_and_shows_what_its_records_say(
    small_run: SmallRun, tmp_path: Path
) -> None:
    run = small_run.untrained(tmp_path)
    arguments = ["train", "--config", str(run / "config.toml"), "--out", str(run), "--tensorboard"]
    program = "from nas.cli.app import main; main()"
    checkpoint = run / "train_state/state.safetensors"
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE
    ) as process:
        while not checkpoint.exists():
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
    assert not (run / WEIGHTS).exists()
    assert is_supernet_run(run)

    with pytest.raises(SystemExit) as exit_:
        cli.main(arguments)
    assert exit_.value.code == cli.OK
    assert (run / WEIGHTS).read_bytes() == (small_run.path / WEIGHTS).read_bytes()
    assert "tensorboard" not in (run / "config.toml").read_text()
    logged = read_lines(run / "train_log.jsonl", dict)
    steps = [line["step"] for line in logged]
    assert max(steps) == 30
    assert steps.count(1) == 1, "went on from the checkpoint"
    by_step = {line["step"]: line for line in logged}
    last = [by_step[step] for step in sorted(by_step)]
    for name in OF_A_STEP:
        assert curves(run, "train")[name] == expected(last, name)
