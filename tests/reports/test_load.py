"""Reading a run: what is missing is empty, what is broken is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reports import build_report, load_run
from reports.records import ModelFile
from search_spaces import UserError

NewRun = Callable[..., Path]


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes a JSON file in place."""
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_a_whole_run_is_read(new_run: NewRun) -> None:
    run = load_run(new_run())
    assert (len(run.front), len(run.references), len(run.trials)) == (8, 5, 60)
    assert sum(trial.failure is not None for trial in run.trials) == 2
    assert [member.is_knee for member in run.front].count(True) == 1
    assert run.profile is not None
    assert run.profile.num_networks == 6
    assert len(run.training) == 80


def test_the_front_is_in_order_of_measured_latency(new_run: NewRun) -> None:
    folder = new_run()
    edit(folder / "front.json", lambda front: front["members"].reverse())
    times = [member.deployed.latency.median_ms or 0.0 for member in load_run(folder).front]
    assert times == sorted(times)


def test_a_score_looks_at_no_more_images_than_there_are(new_run: NewRun) -> None:
    folder = new_run()
    assert load_run(folder).images_per_score == 1000
    (folder / "data.json").write_text(json.dumps({"sizes": {"search": 359}}))
    run = load_run(folder)
    assert run.images_per_score == 359
    assert "is that of 359 images" in build_report(folder).read_text()


def test_ties_are_known_to_both_sides(new_run: NewRun) -> None:
    tied = {member.key: member.tied_with for member in load_run(new_run()).front}
    pairs = [(key, other) for key, others in tied.items() for other in others]
    assert len(pairs) == 2
    assert pairs[0] == pairs[1][::-1]


def test_a_network_in_fp32_only_is_its_own_unquantized_file(new_run: NewRun) -> None:
    for member in load_run(new_run(precision="fp32")).members:
        assert member.file("model.fp32.onnx") is None
        assert member.unquantized is member.deployed


def test_a_lost_unquantized_file_is_not_replaced_by_the_deployed_one(new_run: NewRun) -> None:
    folder = new_run(precision="int8")
    key = load_run(folder).front[0].key
    edit(folder / "front" / key / "card.json", lambda card: card["files"].pop("model.fp32.onnx"))
    assert load_run(folder).front[0].unquantized == ModelFile(name="model.fp32.onnx")


def test_a_torn_last_line_is_ignored_and_a_torn_middle_is_named(new_run: NewRun) -> None:
    folder = new_run()
    path = folder / "trials.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines) + lines[0][:40])
    assert len(load_run(folder).trials) == 60
    path.write_text(lines[0][:40] + "\n" + "".join(lines[1:]))
    run = load_run(folder)
    assert len(run.trials) == 59
    assert [line.partition(":")[0] for line in run.altered] == ["trials.jsonl, line 1"]


def test_an_empty_run_has_empty_tables(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('space = "toy"\n')
    run = load_run(tmp_path)
    assert (run.members, run.trials, run.phases, run.training) == ((), (), (), ())
    assert (run.profile, run.limits, run.num_networks) == (None, (), None)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no config\.toml, so this is not a run directory"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("plan.json", '{"schema": 2}', "has schema 2, this version reads 1"),
        ("config.toml", "space = ", "cannot be read"),
        ("space.json", '{"name": "x"}', "is damaged: 'choices' is missing"),
    ],
)
def test_what_cannot_be_read_is_named(
    new_run: NewRun, name: str, content: str, message: str
) -> None:
    folder = new_run(trials=5, front=1)
    (folder / name).write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match=message) as error:
        load_run(folder)
    assert name in str(error.value)


@pytest.mark.parametrize("key", ["../plan", "..", "", "a/b"])
def test_keys_cannot_lead_out_of_the_run(new_run: NewRun, key: str) -> None:
    folder = new_run(trials=5, front=1)
    edit(folder / "front.json", lambda front: front["members"].append(key))
    with pytest.raises(UserError, match="not a folder's name"):
        load_run(folder)


def test_a_member_without_a_card_is_named(new_run: NewRun) -> None:
    folder = new_run(trials=5, front=1)
    edit(folder / "front.json", lambda front: front["members"].append("0123456789ab"))
    with pytest.raises(UserError, match=r"front/0123456789ab/card\.json is not there"):
        load_run(folder)


def test_numbers_that_are_not_numbers_are_missing(new_run: NewRun) -> None:
    folder = new_run(trials=5, front=1)
    key = load_run(folder).front[0].key

    def spoil(card: dict[str, Any]) -> None:
        file = card["files"]["model.onnx"]
        file["latency"] |= {"median_ms": float("nan"), "interval_ms": [0.1, None]}
        file["accuracy"]["search"] = {"fraction": "high", "correct": True, "total": 0}

    edit(folder / "front" / key / "card.json", spoil)
    deployed = load_run(folder).front[0].deployed
    assert (deployed.latency.median_ms, deployed.latency.interval_ms) == (None, None)
    assert (deployed.search.shown, deployed.search.interval) == (None, None)


def test_a_phase_that_was_cut_off_is_counted_and_the_running_one_is_not(new_run: NewRun) -> None:
    phases = {phase.name: phase for phase in load_run(new_run()).phases}
    assert (phases["train"].seconds, phases["train"].num_interrupted) == (131.4, 1)
    assert (phases["report"].seconds, phases["report"].num_interrupted) == (None, 0)


def test_time_of_a_resumed_phase_adds_up(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    events = [{"phase": "search", "event": kind, "seconds": 2.5} for kind in ("start", "end")] * 2
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    (phase,) = load_run(tmp_path).phases
    assert (phase.seconds, phase.num_interrupted) == (5.0, 0)


def test_what_only_some_runs_have_is_read(new_run: NewRun) -> None:
    run = load_run(new_run(extras=True))
    (tuned,) = [member for member in run.front if member.finetuned is not None]
    assert tuned.finetuned is not None
    assert tuned.key == f"{tuned.finetuned.source}-ft0a1b"
    assert (tuned.finetuned.steps, tuned.finetuned.teacher) == (600, "largest")
    ((key, log),) = run.finetunes
    assert (key, len(log)) == (tuned.key, 80)
    assert run.fidelity is not None
    assert (run.fidelity.kendall_tau, len(run.fidelity.rows)) == (0.714, 15)
    parity = run.front[0].deployed.parity
    assert parity is not None
    assert (parity.same_answer, parity.images) == (0.9985, 2000)


def test_both_plans_are_read_as_one(new_run: NewRun) -> None:
    folder = new_run(trials=5, front=1)
    (folder / "search_plan.json").write_text('{"schema": 1, "trials": 77}')
    plan = load_run(folder).plan
    assert (plan["steps"], plan["trials"]) == (400, 77)


def test_a_step_that_was_trained_again_counts_once(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    log = [{"step": 1, "loss": 4.0}, {"step": 2, "loss": 3.0}, {"step": 2, "loss": 2.0}]
    (tmp_path / "train_log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
    assert [(p.step, p.loss) for p in load_run(tmp_path).training] == [(1, 4.0), (2, 2.0)]
