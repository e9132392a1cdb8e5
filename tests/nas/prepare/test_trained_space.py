"""What training gives up is left out of the run's space, and nowhere else."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data import DataSet
from nas.latency import LatencyModel
from nas.latency._model import Coefficients
from nas.latency._rows import kind_of
from nas.prepare import train_supernet
from nas.prepare.inputs import make_problem
from nas.prepare.train_supernet import begin, given_up, trained_supernet
from nas.problem.problem import Limit
from nas.run.config import Config, make_config
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


def test_a_shrunk_space_keeps_task_limits_and_predictions(
    plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(
        {
            "plugins": (str(plugins / "ordinal.py"),),
            "space": "toy",
            "data": "ordinal",
            "resolution": 16,
            "budget": ("90%MACs", "1000ms"),
            "threads": 1,
            "executor": "inline",
            "set": {"max_macs": 0},
        }
    )
    profiled: list[tuple[LatencyModel, tuple[Limit, ...]]] = []

    def profile(
        run: Run, config: Config, space: SearchSpace, limits: Sequence[Limit], *_: object
    ) -> LatencyModel:
        profiled.append((imagined_latency(space), tuple(limits)))
        return profiled[0][0]

    for name, instead in {
        "import_ahead": lambda: None,
        "check_smallest_latency": lambda *_: None,
        "profile": profile,
        "plan_training": lambda *_, **__: {"schema": 1, **asdict(PLAN)},
        "make_method": lambda config, problem, plan: Narrow(problem.space),
    }.items():
        monkeypatch.setattr(train_supernet, name, instead)
    problem = begin(config, tmp_path / "run", Silent()).problem
    ((model, limits),) = profiled
    assert problem.space == read_space(tmp_path / "run")
    assert problem.space.choice("stage1.width").options == (8,)
    assert problem.objectives[0].metric == "threshold_loss"
    assert problem.limits == limits
    assert [limit.metric for limit in limits] == ["macs", "latency_ms"]
    rows_NC = problem.space.sample(np.random.default_rng(0), 20)
    members = [problem.space.candidate(row) for row in rows_NC.tolist()]
    whole_NC = np.array([model.space.encode({**m.arch, **m.policy}) for m in members])
    expected_N = model.of("latency_ms", whole_NC)
    assert len(set(expected_N)) > 1
    np.testing.assert_allclose(problem.model.of("latency_ms", rows_NC), expected_N)


def imagined_latency(space: SearchSpace) -> LatencyModel:
    """A millisecond per million dense multiply-adds, and half of one per change of precision."""
    assert space.tables is not None
    kinds = {kind_of(signature) for signature in space.tables.signatures if signature is not None}
    coefficients = Coefficients(
        slopes=dict.fromkeys(kinds, (0.0, 1.0, 0.0, 0.0, 0.0)),
        mixed_slopes=(0.0,) * 5,
        change_ms=0.5,
        overhead_ms=0.0,
    )
    return LatencyModel(space, "onnxruntime", coefficients)
