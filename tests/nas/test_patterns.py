"""Sparsity patterns from a user's network to files, and what is said of them.

Images are not square, so that one of the short tests is a whole search on such.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import nas
from nas.export import export
from nas.finalists.finetuning import FOLDER
from nas.finalists.recipe import Recipe
from nas.finetune import finetune
from nas.front.card import read_card
from nas.prepare.brought import _brought
from nas.prepare.inputs import prepare
from nas.problem.trial import Trial
from nas.run.config import Config
from nas.run.directory import read_front, read_space
from nas.search_flow import search
from nas.standalone.train import NETWORK, give_trained
from nas.system.files import read_json
from nas.system.reporter import Silent
from nas.testing.patterns import require_kept
from reports import build_report
from search_spaces import DENSE, SearchSpace, UserError, modelled_costs
from supernets.network import PlainNetwork
from tests.conftest import TOY, time_in_two_processes

TWO = "two-of-four"
SIZE = "16x12"
SOURCE = """
from torch import nn

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        return x + self.mlp(self.norm(x))

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.conv = nn.Sequential(nn.Conv2d(16, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.block, self.head = Block(16), nn.Linear(16, 10)

    def forward(self, x):
        x = self.conv(self.stem(x)).flatten(2).transpose(1, 2)
        return self.head(self.block(x).mean(1))
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    file = tmp_path_factory.mktemp("model") / "mine.py"
    file.write_text(SOURCE)
    return replace(
        TOY,
        space="hybrid",
        model=f"{file}:Small",
        resolution=SIZE,
        sparsity=(0.0,),
        pattern=(DENSE, TWO),
        budget=("60%modelledMACs",),
        trials=4,
        set={**TOY.set, "steps": 10, "finetune_s": 0.8, "finalists": 1, "random_references": 0},
    )


@pytest.fixture(scope="module")
def run(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("patterns") / "run"
    with pytest.MonkeyPatch.context() as patch:
        time_in_two_processes(patch)
        search(config, path, Silent())
    return path


def recorded(run: Path) -> tuple[SearchSpace, list[Trial]]:
    space = read_space(run)
    lines = (run / "trials.jsonl").read_text().splitlines()
    return space, [Trial.from_json(json.loads(line), space) for line in lines]


@pytest.fixture(autouse=True)
def as_a_new_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    time_in_two_processes(monkeypatch)
    yield
    _brought.cache_clear()


def test_a_modelled_budget_is_met_and_files_are_those_of_dense_kernels(run: Path) -> None:
    members = read_front(run)["members"]
    space, _ = recorded(run)
    limit = read_json(run / "plan.json")["limits"][0]["max"]
    cards = [read_card(run / "front" / key / "card.json") for key in members]
    assert any("modelled" in card for card in cards)
    for key, card in zip(members, cards, strict=True):
        slots = space.slots(card["encoding"])
        assert card.get("modelled", card)["macs"] <= limit
        if costs := modelled_costs(slots):
            modelled, num_bytes = card["modelled"], card["files"]["model.onnx"]["bytes"]
            assert modelled["macs"] == costs.macs < card["macs"]
            assert modelled["size_bytes"] == num_bytes - round(costs.spared_bytes)
        for file in card["files"]:
            if file.endswith(".safetensors"):
                require_kept(nas.load(run / "front" / key / file), slots)


def test_files_are_for_images_of_the_shape_that_was_asked(run: Path) -> None:
    assert read_json(run / "data.json")["resolution"] == SIZE
    for key in read_front(run)["members"]:
        folder = run / "front" / key
        assert read_card(folder / "card.json")["input"]["shape"] == ["batch", 1, 16, 12]
        (given,) = onnxruntime.InferenceSession(folder / "model.onnx").get_inputs()
        assert given.shape[1:] == [1, 16, 12]


def test_the_report_says_that_a_pattern_is_not_faster_here(run: Path) -> None:
    page = build_report(run).read_text()
    assert "gives no speed-up on this target" in page
    assert "modelled" in page
    table = (run / "report/pareto.csv").read_text().splitlines()
    assert {"modelled_macs", "modelled_size_bytes", "pattern"} <= set(table[0].split(","))


def test_training_further_and_on_grids_keeps_the_mask(run: Path) -> None:
    space, trials = recorded(run)
    trial = next(
        t
        for t in trials
        if {TWO, "int8"} <= {str(option) for option in t.candidate.policy.values()}
    )
    recipe = Recipe(epochs=0.5, aware_share=0.4, teacher="brought", batch_norm="frozen")
    found = finetune(run, trial.candidate.key, recipe, Silent())
    slots = space.slots(trial.candidate.encoding)
    before, after = PlainNetwork(slots), PlainNetwork(slots)
    folder = run / FOLDER / found["key"]
    give_trained(before, folder / "before" / NETWORK)
    give_trained(after, folder / NETWORK)
    require_kept(before, slots)
    require_kept(after, slots)
    for (name, old), (_, new) in zip(
        before.named_parameters(), after.named_parameters(), strict=True
    ):
        if any(
            name.startswith(s.name.replace(".", "_")) for s in slots if s.signature.pattern == TWO
        ):
            assert ((old == 0) <= (new == 0)).all() or old.ndim == 1, name
    (measured,) = run.glob(f"*/{found['key']}/model.safetensors")
    require_kept(nas.load(measured), slots)


def test_any_architecture_is_exported_with_a_pattern(run: Path, tmp_path: Path) -> None:
    space, _ = recorded(run)
    row = space.in_pattern(np.zeros((1, len(space.choices)), int), TWO)[0]
    candidate = space.candidate(row.tolist())
    folder = export(run, Silent(), arch={**candidate.arch, **candidate.policy}, out=tmp_path / "it")
    assert folder == tmp_path / "it"
    assert read_card(folder / "card.json")["modelled"]["macs"] > 0
    require_kept(nas.load(folder / "model.safetensors"), space.slots(candidate.encoding))


def test_budgets_of_what_patterns_spare_need_a_pattern(config: Config) -> None:
    with pytest.raises(UserError, match=r"budget '60%modelledMACs'.*--pattern .*dense,two-of-four"):
        prepare(replace(config, pattern=(DENSE,)))
