"""Runs with plug-ins: their copies, and every process and command that needs them."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nas.executors import EXECUTORS
from nas.prepare.reopen import reopened
from nas.run.config import make_config
from nas.run.directory import WEIGHTS
from nas.search_flow import search
from nas.sweep.file import read_sweep
from nas.sweep.jobs import SweepJob
from nas.system.files import read_lines
from nas.system.reporter import Silent
from nas.targets import Timing, measure
from nas.testing.targets import fp32_file
from nas.train import train_supernet
from reports import build_report
from search_spaces import load_plugins, loaded_plugins
from tests.commands import exit_code
from tests.conftest import TOY

TOY_SETTINGS = {field.name: getattr(TOY, field.name) for field in dataclasses.fields(TOY)}
ROOT = Path(__file__).parents[2]
SPACE = """
from search_spaces import AbstractSpace, SearchSpace, Stage, Staged, pyramid

class Pools(AbstractSpace):
    def build(self, *, resolution, channels, num_classes):
        stages = tuple(
            Stage(
                widths=(8 * 2**i, 16 * 2**i),
                depths=(1,),
                operators=("mbconv", "pool"),
                options=(("kernel_size", (3, 5)), ("expand_ratio", (2, 3))),
            )
            for i in range(len(pyramid(resolution).sizes))
        )
        network = Staged(
            resolution=resolution, channels=channels, num_classes=num_classes, stages=stages
        )
        return SearchSpace.of_network("pools", network)
"""
BOARD = """
from dataclasses import replace

from nas.targets import TARGETS, AbstractDevice, Timing, measure

@TARGETS.register
class Board(AbstractDevice):
    artefact = ".safetensors"
    kernels = frozenset({"float32"})

    def time(self, files, **options):
        timings = measure("torch-channels-last", files, **options)
        return [replace(t, runtime="board") if isinstance(t, Timing) else t for t in timings]

    def describe(self):
        return {"runtime": "board", "version": "1"}

    def integer_kernels(self, file):
        return 0
"""
"""A device that times files itself; what it has inside is a runtime from outside."""


def nas(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """The command in a process of its own."""
    program = "from nas.cli.app import main; main()"
    words = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.long
@pytest.mark.usefixtures("two_timing_processes")
def test_a_search_with_an_operator_a_controller_a_task_and_a_device_from_outside(
    plugins: Path, tmp_path: Path
) -> None:
    own, run = tmp_path / "own", tmp_path / "run"
    own.mkdir()
    names = ("pool", "paes", "ordinal", "torch_channels_last")
    files = [Path(shutil.copy(plugins / f"{name}.py", own)) for name in names]
    files.append(own / "board.py")
    files[-1].write_text(BOARD)
    (own / "pools.py").write_text(SPACE)
    config = make_config(
        {
            **TOY_SETTINGS,
            "space": str(own / "pools.py"),
            "plugins": tuple(map(str, files)),
            "data": "ordinal",
            "controller": "paes",
            "target": "board",
            "precision": ("fp32", "int8w"),
            "method": "sandwich",
            "executor": "processes",
            "workers": 2,
            "budget": (),
            "set": {**TOY.set, "warm_up": 2},
        }
    )
    search(config, run, Silent())
    trials = read_lines(run / "trials.jsonl", dict)
    assert any("pool" in trial["arch"].values() for trial in trials)
    for file in files:
        assert (run / "plugins" / file.name).read_text() == file.read_text()
    check_task(run)

    command = ("search", "--config", run / "config.toml", "--out", run)
    files[0].write_text(files[0].read_text() + "\n# changed\n")
    changed = nas(*command)
    assert changed.returncode == 2
    assert "pool.py' is not the one that run" in changed.stderr
    assert "kept in its plugins/pool.py" in changed.stderr

    shutil.rmtree(own)
    gone = nas(*command)
    assert gone.returncode == 2
    assert "pool.py' is no file" in gone.stderr
    assert "keeps a copy in its folder plugins" in gone.stderr

    cards = [path for path in run.glob("*/*/card.json") if '"twin_of"' not in path.read_text()]
    cards.sort(key=lambda card: '"pool"' not in card.read_text())
    folder = cards[0].parent
    asked: tuple[tuple[object, ...], ...] = (
        ("export", run, "--key", folder.name, "--json"),
        ("profile", run, "--json"),
        ("report", run, "--json"),
    )
    for arguments in asked:
        done = nas(*arguments)
        assert done.returncode == 0, done.stderr
    program = "import sys, nas; nas.load(sys.argv[1])"
    loads = [sys.executable, "-c", program, str(folder / "model.safetensors")]
    subprocess.run(loads, cwd=ROOT, check=True)
    deployed = json.loads(cards[0].read_text())["files"]["model.onnx"]
    assert deployed["timed"] == "model.safetensors"
    assert deployed["latency"]["runtime"] == "board"
    assert (run / f"timings/{folder.name}.model.safetensors.json").is_file()
    assert read_lines(run / "profile/rows.jsonl", dict)
    kept = [word for file in files for word in ("--plugin", run / "plugins" / file.name)]
    again = nas(*command, "--space", run / "space.py", *kept)
    assert again.returncode == 0, again.stderr
    assert read_lines(run / "trials.jsonl", dict) == trials

    reused = nas("search", "--supernet", run, "--out", tmp_path / "b", "--budget", "1kFLOPs")
    assert reused.returncode == 2
    assert "no network of this space is that small" in reused.stderr


def check_task(run: Path) -> None:
    """Trials, cards and front are those of a search for the least error in levels."""
    metrics = {"threshold_loss", "mean_error"}
    assert all(
        trial["metrics"].keys() == metrics for trial in read_lines(run / "trials.jsonl", dict)
    )
    cards = [json.loads(path.read_text()) for path in run.glob("*/*/card.json")]
    assert {card["task"] for card in cards} == {"ordinal"}
    for card in cards:
        deployed = card["files"]["model.onnx"]
        assert deployed["accuracy"]["search"].keys() == {*metrics, "deviation", "total", "labels"}
        assert 0 < deployed["accuracy"]["test"]["mean_error"] < 9
        assert "twin_of" in card or deployed["parity"]["same_answer"] > 0.9
    front = json.loads((run / "front.json").read_text())
    assert front["members"]
    build_report(run)
    header = (run / "report/pareto.csv").read_text().splitlines()[0].split(",")
    assert {"mean_error_search", "mean_error_search_low", "threshold_loss_search"} <= {*header}
    report = (run / "report/report.md").read_text()
    assert "mean error levels (search)" in report
    assert "Mean error: 95 % interval." in report
    page = (run / "report/report.html").read_text()
    assert "Mean error against measured latency" in page
    for word in ("ccurac", "log-loss", "Wilson"):
        assert word not in report + page.partition("<script")[0].partition("<body")[2]


@pytest.mark.long
@pytest.mark.usefixtures("two_timing_processes")
def test_a_supernet_learns_a_data_set_by_a_method_and_an_optimizer_from_outside(
    plugins: Path, tmp_path: Path
) -> None:
    config = make_config(
        {
            **TOY_SETTINGS,
            "plugins": [
                str(plugins / f"{name}.py") for name in ("gratings", "single_path", "lion")
            ],
            "data": "gratings",
            "method": "single-path",
            "set": {**TOY.set, "optimizer": "lion"},
        }
    )
    run = tmp_path / "run"
    train_supernet(config, run, Silent())
    assert (run / WEIGHTS).is_file()
    assert len(list((run / "plugins").iterdir())) == 3
    assert config.digest == dataclasses.replace(config, plugins=()).digest
    first, *_, last = read_lines(run / "train_log.jsonl", dict)
    assert last["loss"] < first["loss"]


def test_timing_processes_know_a_target_from_outside(plugins: Path, tmp_path: Path) -> None:
    load_plugins([plugins / "onnxruntime_lean.py"])
    (timing,) = measure("onnxruntime-lean", [fp32_file(tmp_path)], processes=1, budget_s=0.1)
    assert isinstance(timing, Timing)
    assert timing.runtime == "onnxruntime without arena"


@pytest.mark.parametrize(
    ("executor", "processes"),
    [("inline", 1), ("processes", 2), pytest.param("ray", 2, marks=pytest.mark.long)],
)
def test_every_process_that_scores_runs_the_plug_ins_once(
    executor: str, processes: int, plugins: Path, own_run: Path, tmp_path: Path
) -> None:
    marker, file = tmp_path / "pids", tmp_path / "marking.py"
    mark = f"\nimport os\nwith open({str(marker)!r}, 'a') as file:\n    print(os.getpid(), file=file)\n"
    file.write_text((plugins / "lion.py").read_text() + mark)
    trained = reopened(own_run, Silent(), plugins=[file])
    file.unlink()
    sizes = trained.problem.space.cardinalities
    wanted = [trained.problem.space.candidate([i % n for n in sizes]) for i in range(2)]
    with EXECUTORS.get(executor)(workers=1).session(trained.scoring) as session:
        for candidate in wanted:
            session.start(candidate)
        found = dict(session.finished() for _ in wanted)
    assert found == {candidate.key: trained.scorer(candidate) for candidate in wanted}
    pids = marker.read_text().split()
    assert len(pids) == len(set(pids)) == processes
    assert (own_run / "plugins/marking.py").exists()


def test_a_job_of_a_sweep_takes_its_plug_ins_along(plugins: Path) -> None:
    config = make_config({"plugins": (str(plugins / "paes.py"),), "controller": "paes"})
    job = SweepJob(name="a", config=config, out="b", is_supernet=False, plugins=loaded_plugins())
    assert SweepJob.from_text(job.to_text()) == job
    assert job.plugins[0].name == "paes"


def test_plug_ins_of_a_sweep_are_those_of_all_its_searches(plugins: Path, tmp_path: Path) -> None:
    files = [str(plugins / f"{name}.py") for name in ("gratings", "paes")]
    sweep = tmp_path / "sweep.toml"
    sweep.write_text(
        f"plugins = {json.dumps(files)}\nspace = 'toy'\ndata = 'gratings'\n"
        "controller = ['paes', 'random']\n"
    )
    found = read_sweep(sweep)
    assert [search.settings["controller"] for search in found.searches] == ["paes", "random"]
    assert [search.settings["plugins"] for search in found.searches] == [files, files]
    assert [settings["plugins"] for settings in found.supernets.values()] == [files]


def test_plug_ins_of_a_configuration_file_may_be_named_in_it(
    plugins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        f"plugins = [{json.dumps(str(plugins / 'gratings.py'))}]\nspace = 'toy'\ndata = 'gratings'\n"
    )
    asked = ("--out", tmp_path / "run", "--budget", "1kFLOPs")
    assert exit_code("search", "--config", file, *asked) == 2
    assert "no network of this space is that small" in " ".join(capsys.readouterr().err.split())
