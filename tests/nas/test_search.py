"""One real search from end to end, looked at from all sides; then the same, killed and continued."""

import csv
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import nas
from nas.data import DataSet, load_data
from nas.front.card import read_card
from nas.problem.trial import Trial
from nas.run.config import Config
from nas.run.directory import read_front, read_space
from nas.search_flow import search
from nas.system.files import read_json
from nas.system.reporter import Silent
from reports import build_report
from search_spaces import SearchSpace, UserError, is_policy
from tests.conftest import time_in_two_processes
from tests.small_run import SmallRun, stopped

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "verify_card.py"


def benchmark(name: str) -> ModuleType:
    """A script of benchmarks/, which is no package."""
    spec = importlib.util.spec_from_file_location(
        f"benchmark_{name}", ROOT / f"benchmarks/{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


resume = benchmark("resume")
TIMED_TWICE = """
from nas.front import timing
timing.TIMING_PROCESSES, timing.SPARE_PROCESSES = 2, 0
"""

CONFIG = Config(
    space="toy",
    data="digits",
    resolution=16,
    budget=("90%MACs", "50ms"),
    time="10s",
    trials=6,
    threads=1,
    set={
        "max_macs": 0,
        "steps": 40,
        "finetune_share": 0.0,
        "finalists": 2,
        "random_references": 1,
        "images_per_score": 150,
    },
)
FILES = {
    "config.toml",
    "space.json",
    "env.json",
    "data.json",
    "sizes.json",
    "pays.json",
    "plan.json",
    "search_plan.json",
    "profile/rows.jsonl",
    "profile/profile.json",
    "train_state/state.safetensors",
    "train_log.jsonl",
    "supernet.safetensors",
    "trials.jsonl",
    "events.jsonl",
    "front.json",
    "report/report.html",
    "report/report.md",
    "report/pareto.csv",
}
CSV_COLUMNS = {
    "key",
    "macs",
    "params",
    "accuracy_search",
    "accuracy_test",
    "accuracy_test_fp32",
    "latency_ms",
    "latency_ms_fp32",
    "latency_predicted_ms",
    "size_bytes",
    "size_bytes_fp32",
}


@dataclass
class Listener:
    """A reporter that keeps what it is told."""

    phases: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    steps: list[tuple[int, int]] = field(default_factory=list)

    def phase(self, name: str, text: str) -> None:
        self.phases.append(name)

    def advance(self, done: int, of: int, text: str = "") -> None:
        self.steps.append((done, of))

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def listener() -> Listener:
    return Listener()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, listener: Listener) -> Path:
    """The directory of a finished search."""
    path = tmp_path_factory.mktemp("search") / "run"
    with pytest.MonkeyPatch.context() as patch:
        time_in_two_processes(patch)
        search(CONFIG, path, listener)
    assert build_report(path) == path / "report" / "report.html"
    return path


@pytest.fixture(scope="module")
def space(run: Path) -> SearchSpace:
    return read_space(run)


@pytest.fixture(scope="module")
def data() -> DataSet:
    return load_data("digits", resolution=16)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def cards(run: Path) -> dict[Path, dict[str, Any]]:
    """Folder -> card of every front member and reference."""
    front = read_front(run)
    folders = [run / "front" / key for key in front["members"]]
    others = [row["key"] for row in front["references"] if row["key"] not in front["members"]]
    folders += [run / "references" / key for key in others]
    return {folder: read_card(folder / "card.json") for folder in folders}


def test_the_run_directory_has_every_file_that_its_description_names(run: Path) -> None:
    found = {str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()}
    assert found >= FILES
    kinds = {"measurements", "timings", "answers", "front"}
    off_the_front = {"finalists", "references"}  # which another one turned out to dominate
    others = {name.split("/")[0] for name in found - FILES} - {".lock", ".lock_holder"}
    assert kinds <= others <= kinds | off_the_front
    for line in lines(run / "trials.jsonl"):
        assert f"measurements/{line['key']}.json" in found
    for folder, card in cards(run).items():
        assert {p.name for p in folder.iterdir()} == {"card.json", *card["files"]}
        for name in card["files"]:
            if name.endswith(".onnx") and "twin_of" not in card:
                assert f"timings/{folder.name}.{name}.json" in found


def test_progress_is_told_for_every_phase(run: Path, listener: Listener) -> None:
    assert listener.phases == ["profile", "train", "search", "finalists"]
    assert all(0 <= done <= of for done, of in listener.steps)
    assert any("latency profile: mean error" in note for note in listener.notes)
    events = [(e["phase"], e["event"]) for e in lines(run / "events.jsonl")]
    for phase in ("profile", "train", "search", "finalists"):
        assert events.index((phase, "start")) < events.index((phase, "end"))


def test_trials_are_canonical_numbered_distinct_and_within_the_limits(
    run: Path, space: SearchSpace
) -> None:
    trials = [Trial.from_json(line, space) for line in lines(run / "trials.jsonl")]
    limits = {
        row["metric"]: row["max"] for row in json.loads((run / "plan.json").read_text())["limits"]
    }
    assert [trial.number for trial in trials] == list(range(CONFIG.trials))
    assert len({trial.candidate.key for trial in trials}) == CONFIG.trials
    assert space.costs is not None
    for trial in trials:
        assert space.canonical(trial.candidate.encoding) == trial.candidate.encoding
        macs = space.costs.of("macs", np.array([trial.candidate.encoding]))[0]
        assert trial.predicted["macs"] == macs <= limits["macs"]
        assert trial.predicted["latency_ms"] <= limits["latency_ms"]
        assert 0.0 <= trial.metrics["accuracy"] <= 1.0
    documents = [
        json.loads((run / f"measurements/{t.candidate.key}.json").read_text()) for t in trials
    ]
    assert [d["metrics"] for d in documents] == [t.metrics for t in trials]


def test_the_profile_knows_its_error_on_networks_it_has_not_seen(run: Path) -> None:
    profile = json.loads((run / "profile" / "profile.json").read_text())
    rows = profile["rows"]
    assert len(rows) == profile["held_out"]["networks"] > 0
    errors = [abs(row["predicted_ms"] / row["measured_ms"] - 1) for row in rows]
    assert profile["held_out"]["mape"] == pytest.approx(np.mean(errors))
    assert profile["held_out"]["max_error"] == pytest.approx(max(errors))


def test_members_come_from_trials_and_do_not_dominate_each_other(run: Path) -> None:
    front = read_front(run)
    tried = {line["key"] for line in lines(run / "trials.jsonl")}
    tried |= {row["key"] for row in front["references"]}
    assert front["members"]
    assert tried.issuperset(key.removesuffix("-fp32") for key in front["members"])
    found = []
    for key in front["members"]:
        file = read_card(run / "front" / key / "card.json")["files"]["model.onnx"]
        latency_ms = file["latency"]["median_ms"]
        found.append((latency_ms, file["accuracy"]["search"]["log_loss"], file["bytes"]))
    assert found == sorted(found)
    for one in found:
        for other in found:
            assert one is other or any(a < b for a, b in zip(one, other, strict=True))
    measured = [
        (file["latency"]["median_ms"], file["accuracy"]["search"]["log_loss"], file["bytes"])
        for card in cards(run).values()
        if (file := card["files"]["model.onnx"])["accuracy"]["search"]["fraction"] > 0.2
    ]
    for row in measured:
        assert any(all(a <= b for a, b in zip(one, row, strict=True)) for one in found)
    assert {row["name"] for row in front["references"]} == {
        "largest fp32",
        "largest int8",
        "random 1",
    }


def test_every_card_is_what_the_example_finds(run: Path, data: DataSet, tmp_path: Path) -> None:
    for name, split in (("search", data.search), ("test", data.test)):
        np.savez(tmp_path / f"{name}.npz", images=split.images_NCHW, labels=split.labels_N)
        for folder in cards(run):
            command = [EXAMPLE, folder / "card.json", tmp_path / f"{name}.npz", "--split", name]
            done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
            assert done.stdout.count(": same") >= 2


def test_cards_say_what_was_deployed(run: Path, space: SearchSpace) -> None:
    assert space.costs is not None
    for folder, card in cards(run).items():
        candidate = space.candidate(card["encoding"])
        key = f"{card['twin_of']}-fp32" if "twin_of" in card else candidate.key
        assert (key, dict(candidate.policy)) == (folder.name, card["policy"])
        assert card["macs"] == space.costs.of("macs", np.array([candidate.encoding]))[0]
        formats = {v for name, v in card["policy"].items() if name.endswith(".precision")}
        for name in ("model.fp32.onnx", "model.fp32.safetensors"):
            assert (name in card["files"]) == ("int8" in formats)
        deployed = card["files"]["model.onnx"]
        assert (deployed["integer_kernels"] > 0) == ("int8" in formats)
        assert deployed["bytes"] == (folder / "model.onnx").stat().st_size
        assert deployed["latency"]["median_ms"] > 0.0
        assert (folder / "model.fp32.safetensors").exists() == ("fp32.s" in card["params_in"])
        held = nas.load(folder / card["params_in"]).parameters()
        assert card["params"] == sum(weight.numel() for weight in held)


def test_the_checkpoint_loads_to_the_network_in_the_onnx_file(run: Path, data: DataSet) -> None:
    images_NCHW = data.normalised(data.test.take(256).images_NCHW)
    for folder, card in cards(run).items():
        network = nas.load(folder / "model.safetensors")
        with torch.no_grad():
            ours_NK = network(torch.from_numpy(images_NCHW)).numpy()
        session = onnxruntime.InferenceSession(folder / "model.onnx")
        (theirs_NK,) = session.run(None, {"images": images_NCHW})
        if card["files"]["model.onnx"]["precision"] == "fp32":
            np.testing.assert_allclose(ours_NK, theirs_NK, atol=1e-4)
        else:
            agreement = (ours_NK.argmax(axis=1) == theirs_NK.argmax(axis=1)).mean()
            assert agreement >= 0.99, card["policy"]


def test_scores_of_the_search_are_those_of_the_files(run: Path) -> None:
    """On all images of the split instead of 150: within 3 sigma of a binomial, for all members."""
    trials = {line["key"]: line["metrics"]["accuracy"] for line in lines(run / "trials.jsonl")}
    for folder, card in cards(run).items():
        if folder.name in trials:
            exact = card["files"]["model.onnx"]["accuracy"]["search"]["fraction"]
            assert trials[folder.name] == pytest.approx(exact, abs=3 * 0.5 / 150**0.5)


def test_the_table_has_a_row_for_every_member_with_the_cards_numbers(run: Path) -> None:
    with (run / "report" / "pareto.csv").open(newline="") as file:
        rows = {row["key"]: row for row in csv.DictReader(file)}
    found = cards(run)
    assert rows.keys() == {folder.name for folder in found}
    for folder, card in found.items():
        row, deployed = rows[folder.name], card["files"]["model.onnx"]
        assert row.keys() >= CSV_COLUMNS
        assert float(row["latency_ms"]) == deployed["latency"]["median_ms"]
        assert float(row["accuracy_test"]) == deployed["accuracy"]["test"]["fraction"]
        assert int(row["size_bytes"]) == deployed["bytes"]
    page = (run / "report" / "report.html").read_text()
    assert all(folder.name in page for folder in found)


def test_the_same_search_again_with_other_workers_changes_and_measures_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    before = resume.records(copy)

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("measured again")

    for place in (
        "nas.executors._base.measure",
        "nas.front.facts.verify",
    ):
        monkeypatch.setattr(place, refused)
    monkeypatch.setattr("nas.prepare.train_supernet.train", refused)
    monkeypatch.setattr("nas.scoring.scorer.Scorer.compressed", refused)
    told = Listener()
    search(replace(CONFIG, threads=2, executor="inline"), copy, told)
    after = resume.records(copy)
    assert after.pop("events.jsonl").startswith(before.pop("events.jsonl"))
    assert after.pop("config.toml") != before.pop("config.toml")
    assert after == before
    (text,) = (note for note in told.notes if note.startswith("this run continues with"))
    assert "executor 'processes' -> 'inline'" in text
    assert "kept: the latency profile, the trained supernet, " in text
    assert "scores, files that were measured" in text


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config(space="toy", data="digits", resolution=16, seed=1), "seed 0 -> 1"),
        (Config(space="hybrid", data="digits", resolution=16), "space 'toy' -> 'hybrid'"),
    ],
)
def test_the_run_of_another_search_is_refused_and_left_alone(
    run: Path, config: Config, message: str
) -> None:
    before = resume.records(run)
    with pytest.raises(UserError, match=message):
        search(config, run, Listener())
    assert resume.records(run) == before


def damage_first_trial(run: Path) -> None:
    path = run / "trials.jsonl"
    path.write_bytes(b"{bad\n" + path.read_bytes().partition(b"\n")[2])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run / "plan.json").write_text("{}"), "plan.json' is damaged"),
        (lambda run: (run / "search_plan.json").write_text("{}"), "search_plan.json' is damaged"),
        (lambda run: (run / "space.json").write_text("[1]"), "space.json' is damaged"),
        (lambda run: (run / "profile/profile.json").write_text("{}"), "profile.json' is damaged"),
        (lambda run: (run / "profile/rows.jsonl").write_text("{}\n"), "line 1 of .*rows.jsonl"),
        (damage_first_trial, "line 1 of .*trials.jsonl' is damaged"),
        (lambda run: (run / "supernet.safetensors").write_bytes(b"x"), "not a weights file"),
    ],
)
def test_a_damaged_record_is_named(
    run: Path,
    damage: Callable[[Path], object],
    message: str,
    tmp_path: Path,
) -> None:
    copy = copied(run, tmp_path / "run")
    damage(copy)
    with pytest.raises(UserError, match=message):
        search(CONFIG, copy, Listener())


def copied(run: Path, to: Path) -> Path:
    for name, content in resume.records(run).items():
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        (to / name).write_bytes(content)
    return to


def test_a_member_whose_file_was_lost_or_changed_is_exported_again(
    run: Path, tmp_path: Path
) -> None:
    copy = copied(run, tmp_path / "run")
    front = read_front(run)
    lost, changed = copy / "front" / front["members"][0], copy / "front" / front["members"][-1]
    (lost / "model.onnx").unlink()
    with (changed / "model.safetensors").open("ab") as file:
        file.write(b"x")
    search(CONFIG, copy, Listener())
    before, after = resume.records(run), resume.records(copy)
    del before["events.jsonl"], after["events.jsonl"]
    assert after == before


def test_a_trained_supernet_is_used_and_kept(run: Path, tmp_path: Path) -> None:
    config = Config(**{**vars(CONFIG), "supernet": str(run), "trials": 1})
    out = tmp_path / "run"
    copied(run, out)
    for name in ("config.toml", "supernet.safetensors", "trials.jsonl", "train_log.jsonl"):
        (out / name).unlink()
    (out / "config.toml").write_text(config.to_toml())
    search(config, out, Listener())
    weights = "supernet.safetensors"
    assert (out / weights).read_bytes() == (run / weights).read_bytes()
    assert not (out / "train_log.jsonl").exists()


SHORTER = {"--trials 16": "--trials 8", "steps=120": "steps=60", "finetune_s=4": "finetune_s=2"}


@pytest.mark.long
def test_killed_three_times_ends_as_if_never_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resume.SEARCH
    for long, short in SHORTER.items():
        assert long in asked
        asked = asked.replace(long, short)
    killed, whole = tmp_path / "killed" / "run", tmp_path / "whole" / "run"
    monkeypatch.setattr(resume, "PROGRAM", TIMED_TWICE + resume.PROGRAM)
    kills = list(resume.killed_search(asked, killed, 3, seed=1))
    final = resume.records(killed)
    assert [kill.lost(final) for kill in kills] == [[], [], []]
    trace = traced(monkeypatch, tmp_path)
    resume.uninterrupted(asked, killed, whole)
    assert (whole / "trials.jsonl").read_bytes() == (killed / "trials.jsonl").read_bytes()
    assert read_front(whole) == read_front(killed)
    assert resume.differences(killed, whole) == []
    if trace is None:
        pytest.skip(
            "all but its calls of the system was looked at: strace is not there, or may not"
        )
    assert strayed(trace.read_text(errors="replace"), tmp_path) == []


def traced(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path | None:
    """Where strace will write what the next commands ask of the system; None if it cannot."""
    file = folder / "trace"
    strace = ["strace", "--seccomp-bpf", "-f", "-o", str(file), "-e", "trace=openat,connect"]
    if not shutil.which("strace") or subprocess.run([*strace, "true"]).returncode:
        return None
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    line = resume._line
    monkeypatch.setattr(resume, "_line", lambda *given: [*strace, *line(*given)])
    return file


def strayed(trace: str, run: Path) -> list[str]:
    """Calls by which a search reached for the network, or left files outside of its run.

    Temporary files may be anywhere if they are gone; `/dev` has shared memory.
    """
    calls = [line.partition(" ")[2].lstrip() for line in trace.splitlines()]
    assert any(call.startswith("openat") and str(run) in call for call in calls), "nothing traced"
    found = [call for call in calls if call.startswith("connect(") and "AF_INET" in call]
    writes = re.compile(r'openat\(AT_FDCWD, "(.*?)", \S*(O_CREAT|O_WRONLY|O_RDWR)')
    for call in calls:
        written = writes.match(call)
        path = Path.cwd() / written[1] if written else run
        if not path.is_relative_to(run) and not path.is_relative_to("/dev") and path.is_file():
            found.append(call)
    return found


def test_a_supernet_serves_a_search_of_another_budget_and_seed_but_not_of_other_images(
    small_run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(small_run.config, supernet=str(small_run.path), budget=("60%MACs",))
    with pytest.raises(UserError, match="was trained on other images"):
        search(replace(config, seed=1), tmp_path / "other", Silent())
    with pytest.raises(UserError, match="was trained for other architectures"):
        search(replace(config, space="mobile"), tmp_path / "space", Silent())
    with pytest.raises(UserError, match="other images .*resolution 16 -> '16x20'"):
        search(replace(config, resolution="16x20"), tmp_path / "size", Silent())
    path = tmp_path / "run"
    with small_run.remembering(), stopped(monkeypatch, "nas.search_flow.train_finalists"):
        search(replace(config, seed=1, data_seed=0), path, Silent())
    donor, own = (
        SearchSpace.from_json(read_json(p / "space.json")) for p in (small_run.path, path)
    )
    assert [c for c in own.choices if not is_policy(c.name)] == [
        c for c in donor.choices if not is_policy(c.name)
    ]
    largest = max(
        json.loads(line)["predicted"]["macs"]
        for line in (path / "trials.jsonl").read_text().splitlines()
    )
    (limit,) = read_json(path / "plan.json")["limits"]
    assert largest <= limit["max"] < limit["largest"]
