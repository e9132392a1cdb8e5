"""Networks that are trained alone take a batch in parts where memory does not hold it."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.finalists import fitted
from nas.finalists.finetuning import FOLDER, Finetuning, make_finetuning
from nas.finalists.fitted import Fitted
from nas.finalists.order import finalist_order
from nas.finalists.recipe import Recipe
from nas.finalists.train import _Speeds, in_format
from nas.prepare.reopen import reopened
from nas.prepare.speed import in_parts
from nas.system.reporter import Silent
from nas.testing.methods import small_images
from search_spaces import Candidate
from supernets.compiled import NEVER
from supernets.network import PlainNetwork
from supernets.plan import TrainPlan
from supernets.steps import AloneBatches
from supernets.team import Team
from supernets.train import turns_of

MOST = 8
"""Images of a batch that memory holds."""


def short_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    really = PlainNetwork.forward

    def forward(network: PlainNetwork, images_BCHW: Tensor) -> Tensor:
        if len(images_BCHW) > MOST:
            raise torch.OutOfMemoryError(f"{len(images_BCHW)} images")
        return really(network, images_BCHW)

    monkeypatch.setattr(PlainNetwork, "forward", forward)


@pytest.fixture
def tuning(own_run: Path) -> tuple[Finetuning, Candidate]:
    """What trains a network of a run further, and one of its networks, which has not been."""
    shutil.rmtree(own_run / FOLDER)
    trained = reopened(own_run, Silent())
    trials = trained.run.trials(trained.problem.space)
    best = finalist_order(trained.problem, trials)[0]
    return make_finetuning(trained, Recipe(), Silent()), best.candidate


def test_a_finalist_is_trained_on_the_whole_batch_in_parts(
    tuning: tuple[Finetuning, Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    finetuning, candidate = tuning
    short_of_memory(monkeypatch)
    plan = replace(finetuning.plan, batch_size=16)
    speeds = _Speeds(finetuning, [plan])
    assert speeds.fastest(candidate)[0] == in_parts(plan, 2)
    found = speeds.planned([candidate], 1.0, is_batch_fixed=True)
    format_ = found["formats"][candidate.key]
    assert (found["batch_size"], format_["parts"]) == (16, 2)
    own = replace(in_format(replace(finetuning, plan=plan), format_), steps=2)
    job = own.job(candidate)
    job.carry_out(lambda numbers, steps: None)
    assert job.is_finished
    followed = job.planned()
    assert (followed.batch_size, followed.shards, followed.steps) == (8, 2, 2)
    assert followed.compile == NEVER
    facts = own(candidate).finetuned
    assert facts is not None
    assert facts.facts["images_per_step"] == 16
    assert facts.facts["trained_in"].endswith("batches in 2 parts")


def test_a_batch_grows_in_parts(
    tuning: tuple[Finetuning, Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    finetuning, candidate = tuning
    short_of_memory(monkeypatch)
    speeds = _Speeds(finetuning, [replace(finetuning.plan, batch_size=8)])
    plan, step_s = speeds.fastest(candidate, 32)
    assert plan.batch_size == 8
    assert plan.shards == 4 * finetuning.plan.shards
    assert step_s > 0.0


def test_the_gradient_of_parts_is_that_of_the_whole_batch() -> None:
    """Where nothing looks at a batch as a whole, as batch norm does."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))
    network(torch.zeros(1, 1, 16, 16))
    images = small_images(is_augmented=False)
    whole = TrainPlan(steps=3, batch_size=16, shards=1)
    found = []
    for plan in (whole, in_parts(whole, 4)):
        with Team(network, images, AloneBatches(plan)) as team:
            team.add_gradients(turns_of(1, plan), {})
        found.append([p.grad.clone() for p in network.parameters() if p.grad is not None])
    assert found[0]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_a_training_by_epochs_is_fitted_to_its_device_as_it_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = TrainPlan(steps=5, batch_size=32, shards=1)
    network, images = nn.Identity(), small_images()
    there = replace(plan, device="cuda:0")

    def seconds_per_step(_: object, __: object, plan: TrainPlan, ___: object) -> float:
        if plan.batch_size > MOST:
            raise torch.OutOfMemoryError(f"{plan.batch_size} images")
        return 0.5

    asked = SimpleNamespace()

    def decided(_: object, __: object, plan: TrainPlan, ___: object, **numbers: Any) -> Any:
        asked.numbers = numbers
        return replace(plan, compile="always"), 0.4

    monkeypatch.setattr(fitted, "seconds_per_step", seconds_per_step)
    monkeypatch.setattr(fitted, "decided", decided)
    monkeypatch.setattr("nas.prepare.speed.free_memory", lambda device: None)
    expected = replace(in_parts(there, 4), compile="always")
    assert Fitted(there)(network, images) == expected
    assert asked.numbers == {"steps": 5, "step_s": 0.5}
    made = Fitted(there, make=lambda network: nn.Sequential(network))(network, images)
    assert made == replace(in_parts(there, 4), compile=NEVER)
