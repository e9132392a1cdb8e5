"""On an accelerator: what is computed there is what the CPU computes, nearly, and again the same."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data import DataSet
from nas.scoring.scorer import Scorer
from nas.testing._spaces import mini_space, random_supernet
from nas.testing.methods import PLAN, StoppedError, example, small_images
from search_spaces.operators import OPERATORS
from supernets.device import CPU, devices
from supernets.methods.sandwich import Sandwich
from supernets.pace import seconds_per_step
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from supernets.train import CHECKPOINT_FILE, train

DEVICE = devices()[-1]
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE == CPU, reason="torch finds no accelerator"),
]

NEAR = 2e-2
"""Of losses after some steps: sums come in another order."""

THERE = replace(PLAN, device=DEVICE)


def trained(
    plan: TrainPlan, folder: Path, *, stop_after: int = 0
) -> tuple[Supernet, dict[int, float]]:
    """The supernet, and its losses by step; continues from what the folder has."""
    losses: dict[int, float] = {}
    method = example("sandwich")
    supernet = Supernet(method.space)

    def on_step(numbers: dict[str, float]) -> None:
        losses[int(numbers["step"])] = numbers["loss"]
        if numbers["step"] == stop_after:
            raise StoppedError

    train(
        supernet, small_images(), plan, SupernetBatches(plan, method), directory=folder,
        before_step=lambda step: supernet.rank() if step == plan.rank_step else None,
        on_step=on_step,
    )  # fmt: skip
    return supernet, losses


def test_losses_are_those_of_the_cpu(tmp_path: Path) -> None:
    """Same images and members in the same order: the first step differs by rounding alone."""
    (tmp_path / "there").mkdir()
    _, expected = trained(PLAN, tmp_path)
    _, found = trained(THERE, tmp_path / "there")
    assert found[1] == pytest.approx(expected[1], rel=1e-4)
    assert list(found.values()) == pytest.approx(list(expected.values()), rel=NEAR)


def test_an_interrupted_training_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    plan = replace(THERE, checkpoint_s=0.0)
    expected, _ = trained(plan, whole)
    monkeypatch.setattr("supernets.train.CHECKPOINT_SHARE", 1e12)  # every step is saved
    with pytest.raises(StoppedError):
        trained(plan, parts, stop_after=4)
    assert (parts / CHECKPOINT_FILE).exists()
    found, _ = trained(plan, parts)
    for name, tensor in expected.state_dict().items():
        assert torch.equal(tensor, found.state_dict()[name]), name


def test_a_trained_network_is_on_the_cpu(tmp_path: Path) -> None:
    supernet, _ = trained(THERE, tmp_path)
    assert {t.device.type for t in (*supernet.parameters(), *supernet.buffers())} == {CPU}


def test_what_fails_leaves_the_network_on_the_cpu(tmp_path: Path) -> None:
    method = example("sandwich")
    supernet = Supernet(method.space)

    def fail(step: int) -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        train(
            supernet, small_images(), THERE, SupernetBatches(THERE, method), directory=tmp_path,
            before_step=fail,
        )  # fmt: skip
    assert {t.device.type for t in (*supernet.parameters(), *supernet.buffers())} == {CPU}


@pytest.mark.parametrize("precision", ["fp32", "int8", "int8w", "int8-dynamic", "int4w"])
def test_scores_are_those_of_the_cpu(digits: DataSet, precision: str) -> None:
    space = mini_space(tuple(OPERATORS.names())).with_policy((precision,), (0.0, 0.5))
    supernet = random_supernet(space)
    here, there = (Scorer(supernet, digits, 128, device=device) for device in (CPU, DEVICE))
    for row in space.sample(np.random.default_rng(0), 6).tolist():
        candidate = space.candidate(row)
        expected, found, again = here(candidate), there(candidate), there(candidate)
        assert not found.failure
        assert dict(found.metrics) == dict(again.metrics)
        assert found.metrics["log_loss"] == pytest.approx(expected.metrics["log_loss"], rel=NEAR)


def test_steps_are_timed(digits: DataSet) -> None:
    space = mini_space(("convnext", "window"))
    batches = SupernetBatches(THERE, Sandwich(space=space))
    supernet = Supernet(space)
    before = copy.deepcopy(supernet.state_dict()).keys()
    assert seconds_per_step(supernet, small_images(), THERE, batches, steps=2) > 0.0
    assert supernet.state_dict().keys() == before
