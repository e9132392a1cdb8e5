"""Sweeps: what a file comes to, what is refused; one real sweep, killed and continued."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nas.cli import app as cli
from nas.executors._cluster import connected
from nas.front.card import read_card
from nas.run.directory import read_config_of, read_front
from nas.sweep.file import read_sweep
from nas.sweep.jobs import Outcomes
from nas.sweep.plan import Sweep
from nas.sweep.storage import fetch, put_back, working_copy
from nas.sweep.sweep import _search_job, _supernet_job, fetch_runs, opened, run_sweep
from nas.sweep.tune import resources_of
from nas.system.environment import num_cores
from search_spaces import UserError
from tests.small_run import NOT_OF_A_SUPERNET, SmallRun

FILE = """
space = ["toy"]
data = "digits"
resolution = 16
budget = ["90%MACs", "50%MACs, 50ms"]
seed = [3, 4]
time = "10s"
trials = 4
precision = "fp32"
threads = 1

[set]
max_macs = 0
steps = 30
finalists = 1
random_references = 1
images_per_score = 150
finetune_share = 0.0

[sweep]
supernet_time = "10s"
"""


NAS = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from nas.cli.app import main; main()",
]
"""A shell that runs a script may have it ignored."""


def written(tmp_path: Path, text: str = FILE, name: str = "sweep.toml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def swept(tmp_path: Path, text: str) -> Sweep:
    return read_sweep(written(tmp_path, text))


def test_every_combination_is_a_search_and_those_that_can_share_a_supernet(tmp_path: Path) -> None:
    text = FILE.replace('["toy"]', '["toy", "mobile"]').replace('"10s"\n\n[set]', '"10s"\n[set]')
    sweep = swept(tmp_path, text)
    assert sweep.varying == ("space", "budget", "seed")
    assert [s.name for s in sweep.searches[:4]] == [
        "toy-90_MACs-3",
        "toy-90_MACs-4",
        "toy-50_MACs_50ms-3",
        "toy-50_MACs_50ms-4",
    ]
    assert [s.supernet for s in sweep.searches] == ["toy"] * 4 + ["mobile"] * 4
    assert {s.settings["data_seed"] for s in sweep.searches} == {3}
    assert list(sweep.searches[2].settings["budget"]) == ["50%MACs", "50ms"]
    supernet = sweep.supernets["toy"]
    assert supernet["budget"] == ["90%MACs"], "the loosest of what all searches have"
    assert (supernet["seed"], supernet["time"]) == (3, "10s")
    assert supernet["set"] == {"steps": 30, "max_macs": 0}
    text = json.dumps(sweep.to_json())
    assert json.dumps(Sweep.from_json(json.loads(text)).to_json()) == text


def test_settings_of_training_and_other_images_need_supernets_of_their_own(tmp_path: Path) -> None:
    text = FILE.replace("steps = 30", "learning_rate = [0.01, 0.02]")
    sweep = swept(tmp_path, text)
    assert list(sweep.supernets) == ["toy", "toy-2"]
    assert {s.supernet for s in sweep.searches if s.settings["set"]["learning_rate"] == 0.02} == {
        "toy-2"
    }
    assert sweep.supernets["toy-2"]["set"] == {"learning_rate": 0.02, "max_macs": 0}
    assert "set.learning_rate" in sweep.varying
    sandwich = text.replace("learning_rate = [0.01, 0.02]", "num_random = [1, 2]")
    sandwich = swept(tmp_path, 'method = "sandwich"\n' + sandwich)
    assert [own["set"] for own in sandwich.supernets.values()] == [
        {"num_random": 1, "max_macs": 0},
        {"num_random": 2, "max_macs": 0},
    ]
    targets = FILE.replace("threads = 1", "timing_threads = [1, 2]").replace(
        "90%MACs", "90%MACs, 9ms"
    )
    assert swept(tmp_path, targets).supernets["toy"]["budget"] == ["90%MACs"]
    with_data = swept(tmp_path, FILE.replace("threads = 1", "threads = 1\ndata_seed = [0, 1]"))
    assert list(with_data.supernets) == ["toy", "toy-2"]
    sizes = swept(tmp_path, FILE.replace("resolution = 16", 'resolution = ["16x16", "16x24"]'))
    assert [own["resolution"] for own in sizes.supernets.values()] == [16, "16x24"]
    assert {s.name for s in sizes.searches} >= {"16-90_MACs-3", "16x24-90_MACs-3"}


def test_distributions_of_tune_are_drawn_once_and_for_all(tmp_path: Path) -> None:
    text = FILE.replace("finalists = 1", "finalists = {randint = [1, 9]}") + "samples = 3\n"
    first, again = (swept(tmp_path, text) for _ in range(2))
    drawn = [s.settings["set"]["finalists"] for s in first.searches]
    assert len(drawn) == 12
    assert len(set(drawn)) > 2
    assert set(drawn) <= set(range(1, 9))
    assert first == again
    with pytest.raises(UserError, match="comes to 4000000000 searches, and at most 1000"):
        swept(tmp_path, text.replace("samples = 3", "samples = 1000000000"))
    budgets = FILE.replace('["90%MACs", "50%MACs, 50ms"]', '{choice = ["2MFLOPs, 9ms"]}')
    assert list(swept(tmp_path, budgets).searches[0].settings["budget"]) == ["2MFLOPs", "9ms"]
    choice = swept(tmp_path, FILE.replace("seed = [3, 4]", 'controller = {choice = ["random"]}'))
    assert {s.settings["controller"] for s in choice.searches} == {"random"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed =", "sed =", "sweep '.*': unknown 'sed'. .*Did you mean 'seed'"),
        ("[3, 4]", "[3, true]", "seed is True. It must be a whole number"),
        ("[3, 4]", "[]", "seed is an empty list"),
        ("[3, 4]", "{loguniform = 3}", r"A distribution is a table with one entry, such as"),
        ("[3, 4]", "{lognormal = [1, 2]}", r"Known: choice, uniform"),
        ("[3, 4]", "{uniform = [1, 2, 3, 4]}", r"which Tune refuses"),
        ("[3, 4]", "{uniform = [0, 5]}", "seed is 2.7.*. It must be a whole number"),
        ("[3, 4]", "{randint = [5, 1]}", "nothing can be drawn for seed"),
        ("50%MACs", "50%MAGs", "budget '50%MAGs'"),
        ('["toy"]', '["toi"]', "unknown space 'toi'"),
        ("[sweep]", "[sweep]\nconcurency = 2", "unknown 'concurency' in .sweep."),
        ("[sweep]", "[sweep]\nsamples = 0", "samples is 0. It must be at least 1"),
        ("[sweep]", "[sweep]\nmax_searches = 3", "comes to 4 searches, and at most 3"),
        ("[sweep]", '[sweep]\nstorage = "/mnt"', "It must be a URL"),
        ("[sweep]", '[sweep]\ntime_limit = "soon"', "time 'soon' is not a duration"),
        ("threads = 1", 'executor = "ray"', "executor 'ray' has no place here"),
        ("threads = 1", 'supernet = "runs/a"', "'supernet' has no place here: a sweep trains its"),
        ("[sweep]", "[sweep", "sweep '.*' is not TOML"),
    ],
)
def test_a_mistake_is_one_message(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in FILE
    with pytest.raises(UserError, match=message):
        swept(tmp_path, FILE.replace(old, new))


def test_a_folder_belongs_to_one_sweep(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match="there is no sweep in '.*' to resume"):
        opened(written(tmp_path), out, must_exist=True)
    first = opened(written(tmp_path), out)
    assert opened(written(tmp_path), out, must_exist=True).to_json() == first.to_json()
    with pytest.raises(UserError, match="is not the one that '.*' was begun with"):
        opened(written(tmp_path, FILE.replace("[3, 4]", "5")), out)
    with pytest.raises(UserError, match=r"the folder is not empty and has no sweep\.toml"):
        opened(written(tmp_path), tmp_path.parent)


def killed(*_: Any, **__: Any) -> None:
    raise ZeroDivisionError


class Job:
    """Of a target; what is asked of it."""

    def __init__(self, target: str) -> None:
        self.config = type("Config", (), {"target": target})


def test_a_search_has_a_node_to_itself() -> None:
    small, large, labelled = {"CPU": 4.0}, {"CPU": 8.0}, {"CPU": 2.0, "target:phone": 1.0}
    jobs: Any = [Job("onnxruntime"), Job("phone")]
    assert resources_of([small, large, labelled], 0, jobs) == {
        "onnxruntime": {"CPU": 8},
        "phone": {"CPU": 2, "target:phone": 1.0},
    }
    with pytest.raises(UserError, match="two searches would run on it .* more than 4"):
        resources_of([small, large], 4, jobs)
    with pytest.raises(UserError, match=r"takes 9 cores of a node, .* the nodes have \[4, 8\]"):
        resources_of([small, large], 9, jobs)
    with pytest.raises(UserError, match=r"nodes that carry 'target:phone' have \[0\]"):
        resources_of([large, {"CPU": 0.0, "target:phone": 1.0}], 0, jobs[1:])


def test_a_run_at_a_url_is_worked_on_in_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"file://{tmp_path}/far/run"
    for number in range(2):
        with working_copy(url) as folder:
            assert folder.exists() == (number > 0)
            (folder / "a/b").mkdir(parents=True, exist_ok=True)
            (folder / f"a/b/{number}").write_text("x")
    with suppress(ZeroDivisionError), working_copy(url) as folder:
        (folder / "a/b/0").unlink()
        raise ZeroDivisionError
    with working_copy(url, is_read_only=True) as folder:
        (folder / "a/b/1").unlink()
    (folder,) = [path for path in (tmp_path / "far/run").iterdir() if path.is_dir()]
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["1"]
    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.pipe_file", killed)
    with suppress(ZeroDivisionError), working_copy(url) as copy:
        (copy / "a/b/1").write_text("never whole")
    fetch(url, tmp_path / "here")
    assert (tmp_path / "here/a/b/1").read_text() == "x"
    fetch(f"file://{tmp_path}/nothing", tmp_path / "far")
    assert (tmp_path / "far/run/latest").exists()
    with pytest.raises(UserError, match="storage 'nowhere://x' cannot be used"):
        put_back(tmp_path, "nowhere://x")


def test_a_dry_run_says_what_would_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        cli.main(["sweep", str(path), "--out", str(tmp_path / "out"), "--dry-run"])
    assert exit_.value.code == cli.OK
    said = capsys.readouterr().out
    assert "50_MACs_50ms-4\ttoy\t50%MACs, 50ms\t4" in said
    assert "1 supernets, about 10.0 s; 4 searches, about 40.0 s" in said
    assert not (tmp_path / "out").exists()


def begun(command: list[str]) -> "subprocess.Popen[str]":
    """A sweep in a process group of its own."""
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def line_with(word: str, sweep: "subprocess.Popen[str]") -> str:
    """The next line that a sweep prints with this word."""
    assert sweep.stdout is not None
    while word not in (line := sweep.stdout.readline()):
        assert line, sweep.communicate()
    return line.strip()


@pytest.mark.long
def test_a_sweep_is_interrupted_and_killed_and_continued_by_the_same_command(
    tmp_path: Path,
) -> None:
    """What is finished is not repeated; a search that fails keeps no other from its report."""
    text = FILE.replace('"90%MACs", "50%MACs, 50ms"', '"90%MACs", "0.0001ms"')
    path, out = (
        written(tmp_path, text.replace("[3, 4]", "3") + "max_failures = 0\n"),
        tmp_path / "o",
    )
    command = [*NAS, "sweep", str(path), "--out", str(out)]
    first = begun(command)
    line_with("toy: started", first)
    os.killpg(first.pid, signal.SIGINT)
    _, said = first.communicate(timeout=120)
    assert first.returncode == cli.INTERRUPTED
    assert said.strip().splitlines()[-1] == "nas: interrupted; the same command continues."
    assert "Traceback" not in said
    second = begun(command)
    finished = line_with("90_MACs: finished", second)
    assert re.fullmatch(r"90_MACs: finished, [1-9]\d* networks; 1 left", finished)
    second.kill()
    second.communicate()
    files = [p for p in (out / "runs/90_MACs").rglob("*") if p.is_file()]
    measured = {p: p.stat().st_mtime_ns for p in files if p.parent.name != "report"}
    assert any(p.parent.name == "measurements" for p in measured)
    (card, *_) = (read_card(p) for p in measured if p.match("front/*/card.json"))
    assert card["files"]["model.onnx"]["latency"]["processes"] >= 5
    last = subprocess.run([*command, "--resume", "--json"], capture_output=True, text=True)
    assert last.returncode == cli.FAILED, last.stderr
    assert "Traceback" not in last.stderr
    ended = {run["name"]: run for run in json.loads(last.stdout)["runs"]}
    assert ended["90_MACs"]["status"] == "finished"
    assert ended["0.0001ms"]["status"] == "failed"
    assert "the smallest networks of space 'toy' take at least" in ended["0.0001ms"]["error"]
    assert {p: p.stat().st_mtime_ns for p in measured} == measured
    assert set(pd.read_parquet(out / "sweep.parquet")["run"]) == {"90_MACs"}
    assert (out / "report.html").stat().st_size > 10_000
    assert (out / "runs/90_MACs/report/report.html").exists()


class Silence:
    """A watcher that says nothing."""

    def begin(self, stage: str, names: Any) -> None: ...
    def started(self, name: str) -> None: ...
    def ended(self, name: str, status: str, text: str) -> None: ...


@pytest.mark.long
def test_runs_at_a_url_are_fetched_and_a_time_that_is_over_ends_nothing_for_good(
    small_run: SmallRun, tmp_path: Path
) -> None:
    """A run that lacks its front lies there, and its supernet."""
    out = tmp_path / "out"
    text = FILE.replace('"90%MACs", "50%MACs, 50ms"', '"90%MACs"').replace("[3, 4]", "0")
    text = text.replace("trials = 4", "trials = 5").replace('precision = "fp32"', "")
    sweep = opened(written(tmp_path, text + f'storage = "file://{tmp_path}/far"\n'), out)
    for job, lacking in (
        (_supernet_job("toy", sweep, out), NOT_OF_A_SUPERNET),
        (_search_job(sweep.searches[0], sweep, out), ("front.json",)),
    ):
        run = small_run.copied(tmp_path / "begun", *lacking)
        (run / "config.toml").write_text(job.config.to_toml())
        put_back(run, job.out)
    hurried = replace(sweep, options=replace(sweep.options, time_limit="1s"))
    with connected("", num_cpus=num_cores()):  # for both, which saves seconds
        assert run_sweep(hurried, out, ray_address="", watcher=Silence()) == {}
        assert run_sweep(sweep, out, ray_address="", watcher=Silence()) == {"toy": "finished"}
    assert Outcomes(out / "outcomes.json", "runs", Silence()).finished == {"toy"}
    assert not (out / "runs").exists()
    fetch_runs(sweep, out, ["toy"])
    assert read_config_of(out / "runs/toy").data_seed == 0
    assert read_front(out / "runs/toy")["members"] == read_front(small_run.path)["members"]
