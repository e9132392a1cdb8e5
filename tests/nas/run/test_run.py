"""A run is a directory: one configuration, one process, records never made twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nas.problem.trial import Score, Trial
from nas.run.config import Config
from nas.run.directory import Run, read_config_of, read_space
from search_spaces import SearchSpace, UserError

CONFIG = Config(space="toy", data="digits")


def no_score() -> Score:
    raise AssertionError("measured again")


def trial(space: SearchSpace, number: int) -> Trial:
    encoding = [number % cardinality for cardinality in space.cardinalities]
    return Trial(
        number=number,
        candidate=space.candidate(encoding),
        metrics={"log_loss": 1.0 / 3.0},
        predicted={"macs": 5.0},
    )


def test_a_new_run_records_configuration_and_machine(tmp_path: Path) -> None:
    run = Run.open(tmp_path / "a" / "b", CONFIG)
    assert read_config_of(run.path) == CONFIG
    assert json.loads((run.path / "env.json").read_text())["versions"]["torch"]


def test_another_configuration_is_refused_by_name_and_changes_nothing(tmp_path: Path) -> None:
    Run.open(tmp_path, CONFIG)
    before = (tmp_path / "config.toml").read_bytes()
    with pytest.raises(UserError, match=r"differs.*space 'toy' -> 'hybrid'; seed 0 -> 3"):
        Run.open(tmp_path, Config(data="digits", seed=3))
    assert (tmp_path / "config.toml").read_bytes() == before


def test_a_run_says_what_it_continues_with_and_keeps(tmp_path: Path) -> None:
    assert Run.open(tmp_path, Config(trials=3)).continued == ""
    (tmp_path / "measurements").mkdir()
    for name in "ab":
        (tmp_path / f"measurements/{name}.json").touch()
    run = Run.open(tmp_path, Config(trials=8, time="9m", threads=2), may_grow=True)
    assert run.continued == (
        "this run continues with trials 3 -> 8; time '5m' -> '9m'; threads 0 -> 2; kept: 2 scores"
    )


@pytest.mark.parametrize("content", [b"xx", b"\xff"])
def test_a_damaged_configuration_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.toml").write_bytes(content)
    with pytest.raises(UserError, match="is damaged"):
        Run.open(tmp_path, CONFIG)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match=r"not empty and has no config.toml.*--out"):
        Run.open(tmp_path, CONFIG)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(UserError, match=r"is a file. Name a folder with --out"):
        Run.open(tmp_path / "thesis.tex", CONFIG)


def test_a_run_killed_before_its_configuration_was_written_can_be_started(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".config.toml.part").write_text("spa")
    assert read_config_of(Run.open(tmp_path, CONFIG).path) == CONFIG


def test_two_processes_cannot_work_on_one_run(tmp_path: Path) -> None:
    run = Run.open(tmp_path, CONFIG)
    program = (
        "import sys; from pathlib import Path; from nas.run.directory import Run; from nas.run.config import *\n"
        "Run.open(Path(sys.argv[1]), Config(space='toy', data='digits'))"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    second = subprocess.run(command, capture_output=True, text=True)
    assert f"process {os.getpid()} (on '" in second.stderr
    del run
    assert subprocess.run(command, capture_output=True).returncode == 0


def test_a_decision_is_written_before_it_is_used_and_never_made_again(tmp_path: Path) -> None:
    run = Run.open(tmp_path, CONFIG)
    assert run.decided("profile/a.json", lambda: {"x": (1, 2)}) == {"x": [1, 2]}
    assert run.decided("profile/a.json", lambda: {"x": 3}) == {"x": [1, 2]}


def test_a_failing_decision_records_nothing(tmp_path: Path) -> None:
    run = Run.open(tmp_path, CONFIG)
    with pytest.raises(AssertionError, match="measured again"):
        run.score("abc", no_score)
    assert list((tmp_path / "measurements").iterdir()) == []


def test_a_score_is_measured_once_and_failures_are_scores(tmp_path: Path) -> None:
    run = Run.open(tmp_path, CONFIG)
    for key, score in (("a", Score({"log_loss": 0.1})), ("b", Score({}, failure="too small"))):
        assert run.score(key, lambda score=score: score) == score
        assert run.score(key, no_score) == score


def test_a_damaged_score_is_named(tmp_path: Path) -> None:
    run = Run.open(tmp_path, CONFIG)
    run.folder("measurements").joinpath("a.json").write_text("{}")
    with pytest.raises(UserError, match=r"measurements/a.json' is damaged: 'metrics' is missing"):
        run.score("a", no_score)


def test_trials_are_read_as_they_were_appended(tmp_path: Path, mini: SearchSpace) -> None:
    run = Run.open(tmp_path, CONFIG)
    trials = [trial(mini, number) for number in range(3)]
    for one in trials:
        run.append_trial(one)
    assert run.trials(mini) == trials


def test_missing_or_repeated_trials_are_refused(tmp_path: Path, mini: SearchSpace) -> None:
    run = Run.open(tmp_path, CONFIG)
    for number in (0, 2):
        run.append_trial(trial(mini, number))
    with pytest.raises(UserError, match=r"numbered \[0, 2\].*gaps"):
        run.trials(mini)


def test_trials_of_another_space_are_refused(tmp_path: Path, mini: SearchSpace) -> None:
    run = Run.open(tmp_path, CONFIG)
    document = trial(mini, 0).to_json() | {"key": "000000000000"}
    (tmp_path / "trials.jsonl").write_text(json.dumps(document) + "\n")
    with pytest.raises(UserError, match=r"line 1 of .*has key '000000000000'"):
        run.trials(mini)


@pytest.mark.parametrize(("load", "is_said"), [(None, False), (1.4, False), (1.6, True)])
def test_a_run_says_that_the_machine_was_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: float | None, is_said: bool
) -> None:
    processors = os.cpu_count() or 1
    average = None if load is None else load * processors
    monkeypatch.setattr("nas.run.directory.load_average", lambda: average)
    run = Run.open(tmp_path, CONFIG)
    with run.phase("train"):
        pass
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["load"] for event in events if event["event"] == "end"] == [average]
    notes = [event["text"] for event in events if event["event"] == "message"]
    said = (
        f"train: the machine was loaded: {average or 0:.1f} processes for {processors} processors"
    )
    assert notes == [f"{said}. On a quiet one results are better"] * is_said


def test_an_interrupted_phase_has_a_start_and_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.run.directory.load_average", lambda: 0.5)
    run = Run.open(tmp_path, CONFIG)
    with run.phase("profile"):
        run.event("profile", "message", text="hello")
    with pytest.raises(KeyboardInterrupt), run.phase("train"):
        raise KeyboardInterrupt
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    found = [(event["phase"], event["event"]) for event in events]
    assert found == [
        ("profile", "start"),
        ("profile", "message"),
        ("profile", "end"),
        ("train", "start"),
    ]
    assert events[2]["seconds"] >= 0.0
    assert all(event["host"] and event["time"] for event in events)


def test_a_space_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "space.json").write_text("{}")
    with pytest.raises(UserError, match=r"space.json' is damaged"):
        read_space(tmp_path)
