"""Sweeps: what a file comes to, what is refused; one real sweep, killed and continued."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nas import cli
from nas.run import read_config_of, read_front
from nas.storage import fetch, put_back, working_copy
from nas.sweep import Outcomes, _resources, fetch_runs, opened, run_sweep
from nas.sweep_file import Sweep, read_sweep
from search_spaces import UserError

FILE = """
space = ["toy"]
data = "digits"
resolution = 16
budget = ["90%MACs", "50%MACs, 50ms"]
seed = [3, 4]
time = "10s"
trials = 4
threads = 1

[set]
steps = 30
finalists = 1
random_references = 1
images_per_score = 150
finetune_share = 0.0

[sweep]
supernet_time = "10s"
"""


NAS = [sys.executable, "-c", "from nas.cli import main; main()"]


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
    assert (supernet["seed"], supernet["time"], supernet["set"]) == (3, "10s", {"steps": 30})
    text = json.dumps(sweep.to_json())
    assert json.dumps(Sweep.from_json(json.loads(text)).to_json()) == text


def test_settings_of_training_and_other_images_need_supernets_of_their_own(tmp_path: Path) -> None:
    text = FILE.replace("steps = 30", "learning_rate = [0.01, 0.02]")
    sweep = swept(tmp_path, text)
    assert list(sweep.supernets) == ["toy", "toy-2"]
    assert {s.supernet for s in sweep.searches if s.settings["set"]["learning_rate"] == 0.02} == {
        "toy-2"
    }
    assert sweep.supernets["toy-2"]["set"] == {"learning_rate": 0.02}
    assert "set.learning_rate" in sweep.varying
    with_data = swept(tmp_path, FILE.replace("threads = 1", "threads = 1\ndata_seed = [0, 1]"))
    assert list(with_data.supernets) == ["toy", "toy-2"]


def test_distributions_of_tune_are_drawn_once_and_for_all(tmp_path: Path) -> None:
    text = FILE.replace("finalists = 1", "finalists = {randint = [1, 9]}") + "samples = 3\n"
    first, again = (swept(tmp_path, text) for _ in range(2))
    drawn = [s.settings["set"]["finalists"] for s in first.searches]
    assert len(drawn) == 12
    assert len(set(drawn)) > 2
    assert set(drawn) <= set(range(1, 9))
    assert first == again
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


class Job:
    """Of a target; what is asked of it."""

    def __init__(self, target: str) -> None:
        self.config = type("Config", (), {"target": target})


def test_a_search_has_a_node_to_itself() -> None:
    small, large, labelled = {"CPU": 4.0}, {"CPU": 8.0}, {"CPU": 2.0, "target:phone": 1.0}
    jobs: Any = [Job("onnxruntime"), Job("phone")]
    assert _resources([small, large, labelled], 0, jobs) == {
        "onnxruntime": {"CPU": 8},
        "phone": {"CPU": 2, "target:phone": 1.0},
    }
    with pytest.raises(UserError, match="two searches would run on it .* more than 4"):
        _resources([small, large], 4, jobs)
    with pytest.raises(UserError, match="no node of the Ray cluster has 9 cores"):
        _resources([small, large], 9, jobs)
    with pytest.raises(UserError, match="no node of the Ray cluster has 1 cores"):
        _resources([{"CPU": 0.0}], 0, jobs)


def test_a_run_at_a_url_is_worked_on_in_a_copy(tmp_path: Path) -> None:
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
    found = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert found == ["far/run/a/b/1"]
    fetch(f"file://{tmp_path}/nothing", tmp_path / "far")
    assert (tmp_path / "far/run/a/b/1").exists()
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


@pytest.mark.slow
def test_a_sweep_that_is_killed_is_continued_by_the_same_command(tmp_path: Path) -> None:
    path, out = written(tmp_path, FILE.replace("[3, 4]", "3")), tmp_path / "out"
    command = [*NAS, "sweep", str(path), "--out", str(out)]
    first = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    ended = out / "outcomes.json"
    deadline = time.monotonic() + 240.0
    while time.monotonic() < deadline and first.poll() is None:
        if ended.exists() and json.loads(ended.read_text())["runs"]:
            break
        time.sleep(0.05)
    assert first.poll() is None, first.stdout.read() if first.stdout else ""
    first.kill()
    first.communicate()
    (kept,) = json.loads(ended.read_text())["runs"]
    measured = {p: p.stat().st_mtime_ns for p in (out / "runs" / kept).rglob("measurements/*")}
    again = subprocess.run([*command, "--resume", "--json"], capture_output=True, text=True)
    assert again.returncode == cli.OK, again.stderr
    said = json.loads(again.stdout)
    assert {run["status"] for run in said["runs"]} == {"finished"}
    assert measured
    assert {p: p.stat().st_mtime_ns for p in measured} == measured
    frame = pd.read_parquet(out / "sweep.parquet")
    assert set(frame["run"]) == {"90_MACs", "50_MACs_50ms"}
    assert (out / "report.html").stat().st_size > 10_000
    assert (out / f"runs/{kept}/report/report.html").exists()


class Silence:
    """A watcher that says nothing."""

    def begin(self, stage: str, names: Any) -> None: ...
    def started(self, name: str) -> None: ...
    def ended(self, name: str, status: str, text: str) -> None: ...


@pytest.mark.slow
def test_a_search_that_fails_is_recorded_and_the_others_go_on_and_are_fetched_from_a_url(
    tmp_path: Path,
) -> None:
    text = FILE.replace('"90%MACs", "50%MACs, 50ms"', '"90%MACs", "0.0001ms"')
    text = text.replace("[3, 4]", "3") + "max_failures = 0\n"
    text += f'storage = "file://{tmp_path}/far"\n'
    sweep = opened(written(tmp_path, text), tmp_path / "out")
    found = run_sweep(sweep, tmp_path / "out", ray_address="", watcher=Silence())
    assert found == {"90_MACs": "finished", "0.0001ms": "failed"}
    document = json.loads((tmp_path / "out/outcomes.json").read_text())
    assert "the smallest network of space 'toy' takes" in document["runs"]["0.0001ms"]["error"]
    assert Outcomes(tmp_path / "out/outcomes.json", "runs", Silence()).statuses == found
    assert not (tmp_path / "out/runs").exists()
    fetch_runs(sweep, tmp_path / "out", ["90_MACs"])
    assert read_config_of(tmp_path / "out/runs/90_MACs").data_seed == 3
    assert read_front(tmp_path / "out/runs/90_MACs")["members"]


def test_ctrl_c_ends_a_sweep_with_one_line_and_it_continues(tmp_path: Path) -> None:
    path, out = written(tmp_path), tmp_path / "out"
    command = [*NAS, "sweep", str(path), "--out", str(out)]
    first = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert first.stdout is not None
    while "started" not in (line := first.stdout.readline()):
        assert line, first.communicate()
    time.sleep(2.0)
    os.killpg(first.pid, signal.SIGINT)
    _, said = first.communicate(timeout=120)
    assert first.returncode == cli.INTERRUPTED
    assert said.strip().splitlines()[-1] == "nas: interrupted; the same command continues."
    assert "Traceback" not in said
