"""What `--dry-run` says: nothing is written, and numbers are those that a run then has."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nas.cli import codes
from nas.cli.running import tell_forecast
from nas.inspect.footprint import KEPT, Footprint, footprint_of
from nas.inspect.forecast import ASKED, ESTIMATE, EXACT, MEASURED, Forecast, Line, forecast
from nas.prepare.inputs import make_problem, prepare
from nas.run.config import Config
from nas.run.directory import read_config_of
from search_spaces import UserError
from supernets.checkpoint import write_tensors
from supernets.plan import TrainPlan
from supernets.state import TrainState
from supernets.supernet import Supernet
from tests.commands import exit_code
from tests.strategies import mini_space

TOY = Config(
    space="toy", data="digits", resolution=16, time="60s", set={"max_macs": 0, "batch_size": 16}
)


def found(of: Forecast, part: str, about: str) -> Line:
    (line,) = [line for line in of.lines if (line.part, line.about) == (part, about)]
    return line


@pytest.fixture(scope="module")
def of_training() -> Forecast:
    return forecast(TOY, Path("nowhere"), is_all=True)


def test_every_number_says_what_it_rests_on(of_training: Forecast) -> None:
    assert {line.basis for line in of_training.lines} == {ASKED, EXACT, MEASURED, ESTIMATE}
    assert {line.part for line in of_training.lines} == {"plan", "time", "memory", "disk"}
    assert not Path("nowhere").exists()
    json.dumps(of_training.to_json(), allow_nan=False)


def test_training_alone_has_all_that_is_left_of_the_time(of_training: Forecast) -> None:
    phases = {
        x.about: float(x.value) for x in of_training.lines if (x.part, x.unit) == ("time", "s")
    }
    assert phases["--time"] == 60.0
    assert phases["size"] == 0.0
    assert phases["train"] > 0.0
    assert phases["all phases"] <= 60.0
    of_search = forecast(TOY, Path("nowhere"))
    assert 0.0 < float(found(of_search, "time", "train").value) < phases["train"]
    assert float(found(of_search, "disk", "of all files, at most").value) > 0


def test_steps_that_are_asked_for_may_take_longer_than_the_time() -> None:
    asked = forecast(replace(TOY, set={**TOY.set, "steps": 10**8}), Path("nowhere"), is_all=True)
    assert found(asked, "time", "steps of 32 images").value == 10**8
    assert asked.warnings == ("training may take longer than --time leaves for it",)


def test_a_checkpoint_is_as_large_as_was_said(tmp_path: Path) -> None:
    """Of a network whose every weight has been trained."""
    space = mini_space(operators=("mbconv",))
    supernet = Supernet(space)
    state = TrainState(supernet, optimizer="muon", weight_decay=0.0, ema_decay=0.9)
    for parameter in supernet.parameters():
        parameter.grad = parameter.detach().clone()
    state.advance(1e-3)
    state.save(tmp_path / "state")
    write_tensors(tmp_path / "weights", supernet.state_dict(), {})
    data, *_ = prepare(TOY)
    problem = make_problem(space.with_policy(("fp32",), (0.0,)), [])
    footprint = footprint_of(problem, TrainPlan(steps=1), data, process_bytes=None)
    for file, size in (("state", footprint.checkpoint_bytes), ("weights", footprint.weights_bytes)):
        assert 0 <= (tmp_path / file).stat().st_size - size < 40_000, file  # names and shapes


def test_batches_cost_memory_and_time() -> None:
    one = Footprint(
        parameters_bytes=10, weights_bytes=11, state_bytes=30, checkpoint_bytes=41, image_bytes=5.0,
        data_bytes=100, process_bytes=1000.0, forward_s=0.01, optimizer_s=0.5,
    )  # fmt: skip
    plan = TrainPlan(steps=1, batch_size=4, shards=3)
    assert one.computing_bytes(plan) == 11 + 30 + 4 * KEPT * 5
    assert one.first_bytes(plan, 1) == 1000 + 100 + 69
    assert one.first_bytes(plan, 2) == 1000 + 100 + 69 + 20
    assert one.first_bytes(replace(plan, device="xpu"), 1) == 1000 + 100 + 11
    assert one.further_bytes(plan) == 1000 + 100 + 11 + 10 + 28
    assert one.step_s(plan, 1) == pytest.approx(3 * 3 * 4 * 0.01 + 0.5)
    assert one.step_s(plan, 2) == pytest.approx(2 * 3 * 4 * 0.01 + 0.5)


def test_the_command_prints_it_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", "--space", "toy", "--data", "digits", "--resolution", "16", "--time", "10s"]
    assert exit_code(*words, "--set", "max_macs=0", "--dry-run") == codes.OK
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert ["memory", "of the first process"] in [row[:2] for row in rows]
    assert all(row[3] in (ASKED, EXACT, MEASURED, ESTIMATE) for row in rows[1:])
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_there_has_no_more_to_do_than_is_left(finished_run: Path) -> None:
    config = read_config_of(finished_run)
    left = forecast(config, finished_run)
    assert found(left, "time", "all phases").value == 0.0
    assert "files that were measured" in str(found(left, "plan", "what is there").value)
    assert not [line for line in left.lines if line.about == "images of a step"]
    more = forecast(replace(config, time="2h"), finished_run)
    assert float(found(more, "time", "all phases").value) > 0.0
    assert found(more, "time", "profile").value == 0.0


def test_what_the_command_would_refuse_is_refused(finished_run: Path, tmp_path: Path) -> None:
    config = read_config_of(finished_run)
    for asked, message in (
        (replace(config, seed=7), "the configuration differs"),
        (replace(config, time="1s"), "Give --time"),
    ):
        with pytest.raises(UserError, match=message):
            forecast(asked, finished_run)
    of_donor = replace(TOY, supernet=str(finished_run), data="digit-pairs")
    with pytest.raises(UserError, match=f"supernet '{finished_run}'"):
        forecast(of_donor, tmp_path / "new")
    (tmp_path / "other.txt").touch()
    with pytest.raises(UserError, match="no run"):
        forecast(config, tmp_path)


def test_a_dry_run_of_training_is_not_of_a_search(finished_run: Path) -> None:
    config = read_config_of(finished_run)
    with pytest.raises(UserError, match="is a search"):
        tell_forecast(config, finished_run, as_json=True, is_all=True)
