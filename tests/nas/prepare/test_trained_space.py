"""What training gives up is left out of the run's space, and nowhere else."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from nas.data import DataSet
from nas.prepare import train_supernet
from nas.prepare.inputs import make_problem
from nas.prepare.train_supernet import given_up, trained_supernet
from nas.run.config import Config
from nas.run.directory import TRAINED_SPACE, WEIGHTS, Run, read_begun_space, read_space
from nas.system.files import write_json
from nas.system.reporter import Silent
from search_spaces import SearchSpace
from supernets.context import Context
from supernets.methods._base import AbstractMethod
from supernets.plan import TrainPlan
from supernets.team import Losses, State
from tests.strategies import mini_space

PLAN = TrainPlan(steps=1, batch_size=8, shards=1)


@dataclass(frozen=True)
class Narrow(AbstractMethod):
    """Trains the smallest width of the first stage."""

    space: SearchSpace

    def step(self, context: Context) -> Losses:
        logits_BK = context.logits([0] * len(self.space.choices), context.images_BCHW)
        loss = context.label_loss(logits_BK, context.labels_B)
        loss.backward()
        return [("smallest", float(loss.detach()))]

    def remaining(self, state: State) -> SearchSpace:
        return self.space.restricted({"stage1.width": (8,)})


def test_a_run_searches_what_its_training_left(
    digits: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = mini_space(operators=("mbconv",)).with_policy(("fp32",), (0,))
    monkeypatch.setattr(train_supernet, "make_method", lambda *_: Narrow(space))
    config = Config(space="mini", data="digits", resolution=16)
    run = Run.open(tmp_path / "run", config)
    write_json(run.path / "space.json", space.to_json())
    arguments = (digits, PLAN, Silent())
    supernet = trained_supernet(run, config, make_problem(space, ()), *arguments)
    remaining = read_space(run.path)
    assert remaining == supernet.space
    assert remaining.choice("stage1.width").options == (8,)
    assert given_up(space, remaining) == "stage1.width [16]"
    assert read_begun_space(run.path) == space
    again = trained_supernet(run, config, make_problem(remaining, ()), *arguments)
    for name, tensor in supernet.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    (run.path / WEIGHTS).unlink()
    assert (run.path / TRAINED_SPACE).exists()
    assert read_space(run.path) == space, "a kill before the weights are there: training goes on"
