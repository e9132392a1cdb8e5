"""`nas compress` from a user's file to verified files, and what it refuses."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import nas
from nas.front.card import read_card
from nas.prepare.brought import _brought
from nas.run.config import Config
from nas.run.directory import read_front
from nas.search_flow import search
from nas.system.files import read_json
from nas.system.reporter import Silent
from search_spaces import UserError
from tests.conftest import TOY, time_in_two_processes
from tests.small_run import stopped

ROOT = Path(__file__).parents[2]
SOURCE = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)

    def forward(self, x):
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(x + self.norm2(self.conv2(y)))

def small(classes=10):
    stem = nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
    return nn.Sequential(stem, Block(16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, classes))

def seven():
    return small(7)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "mine.py").write_text(SOURCE)
    torch.manual_seed(0)
    namespace: dict = {}
    exec(SOURCE, namespace)
    save_file(namespace["small"]().state_dict(), folder / "small.safetensors")
    return folder


@pytest.fixture(scope="module")
def config(model: Path) -> Config:
    return replace(
        TOY,
        space="hybrid",
        model=f"{model / 'mine.py'}:small",
        weights=str(model / "small.safetensors"),
        sparsity=(0.0, 0.25, 0.5),
        budget=("80%MACs",),
    )


@pytest.fixture(scope="module")
def run(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compressed") / "run"
    with pytest.MonkeyPatch.context() as patch:
        time_in_two_processes(patch)
        search(config, path, Silent())
    return path


@pytest.fixture(autouse=True)
def as_a_new_process() -> Iterator[None]:
    """Files of models are read anew."""
    yield
    _brought.cache_clear()


def test_its_front_is_of_smaller_versions_of_the_network(run: Path) -> None:
    front = read_front(run)
    space = read_json(run / "space.json")
    (brought,) = {row["name"] for row in front["references"] if row["name"] == "brought fp32"}
    assert brought
    assert not [c for c in space["choices"] if not c["name"].endswith(("sparsity", "precision"))]
    limit = 0.8 * read_json(run / "plan.json")["limits"][0]["largest"]
    for key in front["members"]:
        card = read_card(run / "front" / key / "card.json")
        assert card["macs"] <= limit
        parity = card["files"]["model.onnx"].get("parity", {"same_answer": 1.0})  # none of twins
        assert parity["same_answer"] >= 0.99


def test_its_first_trials_are_what_an_allocation_gives_for_the_budget(run: Path) -> None:
    starts = [row["encoding"] for row in read_json(run / "starts.json")["starts"]]
    trials = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    assert 1 <= len(starts) <= len(trials) // 2
    assert [trial["encoding"] for trial in trials[: len(starts)]] == starts
    assert read_json(run / "search_plan.json")["allocation"] == "distortion"


def test_members_load_without_the_users_code(run: Path, model: Path, tmp_path: Path) -> None:
    key = read_front(run)["members"][0]
    code = (
        "import sys, torch, nas; network = nas.load(sys.argv[1]); "
        "print(tuple(network(torch.zeros(2, 1, 16, 16)).shape))"
    )
    file = run / "front" / key / "model.safetensors"
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "(2, 10)", done.stderr
    assert nas.open(run).best().key in read_front(run)["members"]


def test_a_search_that_is_stopped_continues(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time_in_two_processes(monkeypatch)
    path = tmp_path / "run"
    with stopped(monkeypatch, "nas.search_flow.train_finalists"):
        search(config, path, Silent())
    trials = (path / "trials.jsonl").read_bytes()
    weights = (path / "supernet.safetensors").read_bytes()
    with stopped(monkeypatch, "nas.search_flow.finish"):
        search(config, path, Silent())
    assert (path / "trials.jsonl").read_bytes() == trials
    assert (path / "supernet.safetensors").read_bytes() == weights


def test_a_model_that_changed_is_refused(config: Config, run: Path, model: Path) -> None:
    file = model / "mine.py"
    file.write_text(SOURCE.replace("nn.ReLU()", "nn.SiLU()"))
    try:
        with pytest.raises(UserError, match="is not the one that run .* began with"):
            search(config, run, Silent())
    finally:
        file.write_text(SOURCE)


def test_a_model_of_other_classes_is_refused(config: Config, model: Path, tmp_path: Path) -> None:
    other = replace(config, model=f"{model / 'mine.py'}:seven", weights="")
    with pytest.raises(UserError, match="has 7 outputs, and data 'digits' 10 classes"):
        search(other, tmp_path / "run", Silent())
    assert not (tmp_path / "run").exists()


def test_normalisation_has_a_number_per_channel(config: Config, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mean is \[0.1, 0.2\], and data 'digits' has 1 channels"):
        search(replace(config, mean=(0.1, 0.2)), tmp_path / "run", Silent())


def test_what_was_brought_is_said(run: Path) -> None:
    document = json.dumps(read_json(run / "space.json"))
    assert "fragment" in document
    assert (run / "brought.safetensors").is_file()


@pytest.mark.long
def test_the_page_ends_with_files_in_use(tmp_path: Path) -> None:
    """docs/compress-a-model.md: its files, its command, its program, one after the other."""
    page = (ROOT / "docs/compress-a-model.md").read_text("utf-8")
    for kind, block in re.findall(r"^```(\w+)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        name = block.partition("\n")[0].removeprefix("# ")
        if kind == "python" and name.endswith(".py"):
            (tmp_path / name).write_text(block)
        if name == "my_models.py":
            continue
        code = block
        if kind == "sh":
            code = f"from nas.cli.app import main; main({shlex.split(block)[1:]!r})"
        done = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path[:0] = ['.', {str(ROOT)!r}]\n{code}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert "model.onnx" in done.stdout
