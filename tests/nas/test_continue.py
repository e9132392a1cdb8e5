"""A search that is asked for more trials or more time keeps what it has and goes on."""

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.cli import app as cli
from nas.finalists.entry import TWIN
from nas.finalists.recipe import Recipe
from nas.finetune import finetune
from nas.front.card import read_card, write_card
from nas.front.continuing import grown_plan, more_command, rejoined
from nas.prepare.reopen import reopened
from nas.run.config import Config
from nas.run.directory import Run, read_config_of, read_front
from nas.run.growth import as_begun, extension, has_front
from nas.scoring.scorer import Scorer
from nas.search_flow import search
from nas.system.files import read_json, write_json
from nas.system.reporter import Silent
from nas.train import train_supernet
from search_spaces import UserError
from tests.conftest import TOY
from tests.small_run import SmallRun, Stopped, results, stopped

pytestmark = pytest.mark.usefixtures("two_timing_processes")
MORE = replace(TOY, trials=9)


def no_timing(*_: object, **__: object) -> None:
    raise AssertionError("timed again")


def trials(run: Path) -> list[bytes]:
    return (run / "trials.jsonl").read_bytes().splitlines()


def cards(run: Path) -> dict[str, dict[str, Any]]:
    """Of the present front and the references, by key."""
    front = read_front(run)
    keys = [f"front/{key}" for key in front["members"]]
    others = [row["key"] for row in front["references"] if row["key"] not in front["members"]]
    keys += [f"references/{key}" for key in others]
    return {key: read_card(run / key / "card.json") for key in keys}


def test_more_trials_follow_the_recorded_ones_and_all_are_measured_together(
    own_run: Path, finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[str] = []
    really = Scorer.__call__

    def score(scorer: Scorer, candidate: Any) -> Any:
        scored.append(candidate.key)
        return really(scorer, candidate)

    monkeypatch.setattr(Scorer, "__call__", score)
    search(MORE, own_run, Silent())
    assert trials(own_run)[: TOY.trials] == trials(finished_run)
    assert len(trials(own_run)) == MORE.trials
    assert has_front(own_run)
    assert scored == [json.loads(line)["key"] for line in trials(own_run)[TOY.trials :]]
    assert read_config_of(own_run) == MORE
    assert read_json(own_run / "search_plan.json")["trials"] == MORE.trials
    front, before = read_front(own_run), read_front(finished_run)
    rows = (*front["replaced"], *front["references"])
    known = {*front["members"], *(row["key"] for row in rows)}
    former = {key.removesuffix(TWIN) for key in before["members"]}
    assert known >= former, "former members compete, too"
    together = {c["files"]["model.onnx"]["latency"]["measured_at"] for c in cards(own_run).values()}
    assert len(together) == 1
    for key in former:
        for file in ("model.onnx", "model.safetensors"):
            (ours,) = own_run.glob(f"[fr]*/{key}/{file}")
            (theirs,) = finished_run.glob(f"[fr]*/{key}/{file}")
            assert ours.stat().st_mtime_ns == theirs.stat().st_mtime_ns, "not exported again"
    weights = "finetunes/*/network.safetensors"
    for path in finished_run.glob(weights):
        ours = own_run / path.relative_to(finished_run)
        assert ours.stat().st_mtime_ns == path.stat().st_mtime_ns, "not trained again"
    whole = results(own_run)
    search(MORE, own_run, Silent())
    assert results(own_run) == whole, "the same command again changes nothing"


def test_they_are_the_trials_of_a_search_that_had_as_many_at_once(
    small_run: SmallRun, own_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = small_run.copied(
        tmp_path / "at_once", "trials.jsonl", "measurements", "front.json", "config.toml"
    )
    plan = read_json(at_once / "search_plan.json") | {"trials": MORE.trials}
    write_json(at_once / "search_plan.json", plan | {"asked": {"trials": 9, "time": TOY.time}})
    (at_once / "config.toml").write_text(MORE.to_toml())
    for run in (own_run, at_once):
        with stopped(monkeypatch, "nas.search_flow.train_finalists"):
            search(MORE, run, Silent())
    assert trials(own_run) == trials(at_once)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trials": 4}, "--trials 4 is asked for, and it has 5. .*Give --trials 5 or more"),
        ({"trials": 0}, "no number of trials is asked for, and it has 5"),
        ({"time": "9s"}, "--time 9s is asked for, and it has 10s. .*Give --time 10s or more"),
        ({"trials": 9, "time": "9s"}, "--time 9s is asked for"),
        ({"trials": 9, "seed": 3}, "configuration differs .*trials 5 -> 9; seed 0 -> 3"),
    ],
)
def test_less_or_something_else_is_refused_and_changes_nothing(
    own_run: Path, changes: dict[str, Any], message: str
) -> None:
    before = results(own_run)
    with pytest.raises(UserError, match=message):
        search(replace(TOY, **changes), own_run, Silent())
    assert results(own_run) == before
    assert read_config_of(own_run) == TOY
    assert not (own_run / "grown.jsonl").exists()


def test_fewer_trials_than_were_planned_by_the_time_are_refused(own_run: Path) -> None:
    (own_run / "config.toml").write_text(replace(TOY, trials=0).to_toml())
    with pytest.raises(UserError, match="--trials 3 is asked for, and it has 5"):
        search(replace(TOY, trials=3), own_run, Silent())


def planned(more: int, seen: list[tuple[Config, float]]) -> Callable[..., dict[str, Any]]:
    def plan(config: Config, seconds: float) -> dict[str, Any]:
        seen.append((config, seconds))
        return {"trials": more}

    return plan


def test_added_time_goes_into_trials(own_run: Path) -> None:
    old, new = replace(TOY, trials=0), replace(TOY, trials=0, time="70s")
    (own_run / "config.toml").write_text(old.to_toml())
    document = read_json(own_run / "search_plan.json")
    document["asked"] = {"trials": 0, "time": "10s"}
    run, seen = Run.open(own_run, new, may_grow=True), []
    found = grown_plan(run, new, document, planned(20, seen))
    assert found["trials"] == TOY.trials + 20
    ((config, seconds),) = seen
    assert seconds == 60.0, "what `nas finetune` took does not count"
    assert config.set["images_per_score"] == 150, "or scores would not compare"
    assert config.set["finetune_s"] == document["finetune_s"]
    assert as_begun(own_run, new) == old
    assert grown_plan(run, new, read_json(own_run / "search_plan.json"), planned(5, seen)) == found
    assert len(seen) == 1, "planned once"


def test_a_plan_of_an_earlier_version_is_that_of_the_first_configuration(own_run: Path) -> None:
    document = read_json(own_run / "search_plan.json")
    del document["asked"]
    run = Run.open(own_run, MORE, may_grow=True)
    assert grown_plan(run, MORE, document, planned(0, []))["trials"] == MORE.trials


def test_where_nobody_joins_nothing_is_timed_again(own_run: Path) -> None:
    trained = reopened(own_run, Silent())
    plan = read_json(own_run / "search_plan.json")
    members = read_front(own_run)["members"]
    everyone = [path.parent.name for path in own_run.glob("*/*/card.json")]
    everyone.sort(key=lambda key: key.endswith(TWIN))
    for timed, is_again in ((everyone, False), (everyone[1:], True)):
        grown = plan | {"extension": 1, "members": members, "timed": timed}
        write_json(own_run / "search_plan.json", grown)
        contest, exporter = rejoined(trained, *contest_of(trained))
        assert exporter.times_again is is_again
        keys = [contest.finalist(trial).key for trial in contest.queue[: contest.num_finalists]]
        keys += [entry.key for entry in (*contest.others, *contest.references)]
        assert len(keys) == len({*keys})
        assert {*keys} >= {key.removesuffix(TWIN) for key in members}


def contest_of(trained: Any) -> tuple[Any, Any]:
    """What `finish` would ask of the run."""
    from nas.front import finish as finishing

    seen: list[Any] = []

    def keep(_: Any, contest: Any, exporter: Any) -> None:
        seen.extend((contest, exporter))
        raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finishing, "rejoined", keep)
        with pytest.raises(Stopped):
            finishing.finish(trained, trained.run.trials(trained.problem.space), Silent())
    return seen[0], seen[1]


PLACES = (
    "nas.run.directory.write_text",
    "nas.front.continuing.write_json",
    "nas.search_flow.score_candidates",
)
"""Config.toml is written after the first line of grown.jsonl; the plan; nothing else."""


@pytest.mark.parametrize("place", PLACES)
def test_wherever_it_is_killed_the_same_command_goes_on(
    own_run: Path, finished_run: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stopped(monkeypatch, place):
        search(MORE, own_run, Silent())
    assert trials(own_run) == trials(finished_run)
    with stopped(monkeypatch, "nas.search_flow.train_finalists"):
        search(MORE, own_run, Silent())
    assert len(trials(own_run)) == MORE.trials
    assert extension(own_run) == 1
    assert read_json(own_run / "search_plan.json")["members"] == read_front(finished_run)["members"]


def test_before_the_first_write_the_old_command_still_fits(
    own_run: Path, finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stopped(monkeypatch, "nas.run.directory.write_text"):
        search(MORE, own_run, Silent())
    search(TOY, own_run, Silent())
    assert results(own_run) == results(finished_run)


@pytest.mark.long
def test_a_search_that_is_killed_while_it_goes_on_keeps_its_trials(
    own_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Path(shutil.copytree(own_run, tmp_path / "whole"))
    with stopped(monkeypatch, "nas.search_flow.train_finalists"):
        search(MORE, whole, Silent())
    many = replace(MORE, trials=24)
    (tmp_path / "more.toml").write_text(many.to_toml())
    command = [sys.executable, "-c", "from nas.cli.app import main; main()", "search"]
    command += ["--config", str(tmp_path / "more.toml"), "--out", str(own_run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        while len(trials(own_run)) < MORE.trials:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert len(trials(own_run)) < many.trials
    assert not has_front(own_run), "the front is that of fewer trials"
    with pytest.raises(UserError, match="is not finished. Continue it"):
        finetune(own_run, "a", Recipe(epochs=0.5), Silent())
    assert trials(own_run)[: MORE.trials] == trials(whole)
    with stopped(monkeypatch, "nas.search_flow.train_finalists"):
        search(many, own_run, Silent())
    assert len(trials(own_run)) == many.trials


def test_a_kill_between_two_cards_leaves_no_latencies_of_two_calls(
    own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stopped(monkeypatch, "nas.search_flow.train_finalists"):
        search(MORE, own_run, Silent())
    nobody = read_json(own_run / "search_plan.json") | {"timed": []}
    write_json(own_run / "search_plan.json", nobody)  # so that all are timed again, whoever joins
    written: list[Path] = []

    def write(card: dict[str, Any], path: Path) -> None:
        if written:
            raise Stopped
        written.append(path)
        write_card(card, path)

    with monkeypatch.context() as context:
        context.setattr("nas.front.measure.write_card", write)
        with pytest.raises(Stopped):
            search(MORE, own_run, Silent())
    monkeypatch.setattr("nas.executors._base.measure", no_timing)
    search(MORE, own_run, Silent())
    together = {c["files"]["model.onnx"]["latency"]["measured_at"] for c in cards(own_run).values()}
    assert len(together) == 1


def test_the_profile_keeps_the_size_that_it_was_begun_with(
    own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (own_run / "profile/rows.jsonl").read_bytes()
    with stopped(monkeypatch, "nas.search_flow.score_candidates"):
        search(replace(MORE, time="20m"), own_run, Silent())
    assert (own_run / "profile/rows.jsonl").read_bytes() == rows


def test_the_end_of_a_search_says_how_to_go_on(
    own_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split(more_command(own_run))
    assert words[0] == "nas"
    seen: list[tuple[Config, Path]] = []
    monkeypatch.setattr("nas.search_flow.search", lambda config, out, _: seen.append((config, out)))
    with pytest.raises(SystemExit) as exit_:
        cli.main(words[1:])
    assert exit_.value.code == cli.OK
    assert seen == [(replace(TOY, trials=2 * TOY.trials), own_run)]
    assert f"more trials: {more_command(own_run)}" in capsys.readouterr().out.splitlines()


def test_an_empty_front_is_a_failure_after_its_report(
    own_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # References, too: one that is a member has no folder among references.
    empty = {"members": [], "references": [], "failure": "no network is on the front"}
    write_json(own_run / "front.json", read_front(own_run) | empty)
    monkeypatch.setattr("nas.search_flow.search", lambda *_: None)
    command = ["search", "--config", str(own_run / "config.toml"), "--out", str(own_run)]
    with pytest.raises(SystemExit) as exit_:
        cli.main(command)
    assert exit_.value.code == cli.FAILED
    assert capsys.readouterr().err == f"nas: run '{own_run}': no network is on the front\n"
    assert "Failed: no network is on the front" in (own_run / "report/report.md").read_text()


def test_a_supernet_alone_does_not_grow(own_run: Path) -> None:
    write_json(own_run / "plan.json", read_json(own_run / "plan.json") | {"is_all": True})
    with pytest.raises(UserError, match="configuration differs .*time '10s' -> '20s'"):
        train_supernet(replace(TOY, time="20s"), own_run, Silent())
