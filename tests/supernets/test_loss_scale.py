"""Gradients in fp16: none is lost for being small, and steps in which one overflows are left out."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.testing.methods import PLAN as CONTINUED
from nas.testing.methods import example, small_images
from supernets import train as training
from supernets.device import FP16
from supernets.images import Images
from supernets.loss_scale import (
    FIRST,
    GROWS_AFTER,
    LARGEST,
    LEAST,
    OVERFLOW,
    SCALE,
    STEPS,
    amplified,
    continued_scale,
    damped_weights,
    folded_scale,
    initial_scale,
)
from supernets.plan import TrainPlan
from supernets.steps import AloneBatches, SupernetBatches
from supernets.supernet import Supernet
from supernets.team import State
from supernets.train import DivergedError, train

PLAN = TrainPlan(steps=4, batch_size=8, shards=1, optimizer="sgd", precision=FP16)


class Faint(nn.Module):
    """Answers whose gradients are of 1e-9 before the last product, which fp16 does not have.

    Args:
        strength: Of that product.
    """

    def __init__(self, strength: float = 1e-6) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(256, 16), nn.Linear(16, 10)
        self.strength = strength

    def forward(self, images_BCHW: Tensor) -> Tensor:
        hidden = self.first(images_BCHW.flatten(1))
        answers: Tensor = self.strength * self.last(hidden)
        return answers


def gradient(plan: TrainPlan, state: State) -> tuple[Tensor, State]:
    network = Faint()
    _, report = AloneBatches(plan)(network, small_images(is_augmented=False), 0, state)
    assert network.first.weight.grad is not None
    return network.first.weight.grad, report


def test_small_gradients_are_there_with_a_scale_and_lost_without() -> None:
    expected, _ = gradient(replace(PLAN, precision="fp32"), {})
    lost, _ = gradient(PLAN, {})
    found, report = gradient(PLAN, initial_scale(FP16))
    assert not report[OVERFLOW]
    assert (lost == 0).float().mean() > 0.5
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=0.02 * float(expected.std()))


def test_only_fp16_keeps_a_scale() -> None:
    method = example("sandwich")
    for precision, names in (("fp32", set()), ("bf16", set()), (FP16, {SCALE, STEPS, OVERFLOW})):
        plan = replace(PLAN, precision=precision)
        assert set(SupernetBatches(plan, method).initial_state()) == names
        assert set(AloneBatches(plan).initial_state()) == names


def test_the_scale_is_halved_by_an_overflow_and_doubled_after_many_steps_without() -> None:
    state = initial_scale(FP16)
    fine, large = {OVERFLOW: np.array(False)}, {OVERFLOW: np.array(True)}
    state = folded_scale(state, [fine, large])
    assert (float(state[SCALE]), int(state[STEPS]), bool(state[OVERFLOW])) == (FIRST / 2, 0, True)
    for _ in range(GROWS_AFTER - 1):
        state = folded_scale(state, [fine, fine])
    assert float(state[SCALE]) == FIRST / 2
    state = folded_scale(state, [fine])
    assert (float(state[SCALE]), int(state[STEPS]), bool(state[OVERFLOW])) == (FIRST, 0, False)
    for _ in range(40):
        state = folded_scale(state, [large])
    assert float(state[SCALE]) == LEAST
    many = {**state, SCALE: np.array(LARGEST, np.float32), STEPS: np.array(GROWS_AFTER - 1)}
    assert float(folded_scale(many, [fine])[SCALE]) == LARGEST
    assert folded_scale({}, [{}]) == {}


def test_values_stay_and_gradients_inside_are_larger() -> None:
    layer, inside = nn.Linear(2, 1), []
    images = torch.ones(1, 2, requires_grad=True)
    with damped_weights(layer, 8.0):
        answers = layer(amplified(images, 1 / 8.0))
        answers.register_hook(inside.append)
        (2 * amplified(answers, 8.0)).sum().backward()
    assert inside[0].item() == 16.0
    assert layer.bias.grad is not None
    assert layer.bias.grad.item() == 2.0
    assert images.grad is not None
    torch.testing.assert_close(images.grad, 2 * layer.weight.detach())
    layer(torch.ones(1, 2)).sum().backward()
    assert layer.bias.grad.item() == 3.0, "and afterwards they are as they were"


class Steep(Faint):
    """Gradients that overflow at the first scale, and not at a smaller one."""

    def __init__(self) -> None:
        super().__init__(strength=1.0)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        answers: Tensor = super().forward(images_BCHW)
        return 64 * answers


def trained(network: nn.Module, plan: TrainPlan, folder: Path) -> list[float]:
    """The losses by step."""
    folder.mkdir()
    losses: list[float] = []
    train(
        network, small_images(is_augmented=False), plan, AloneBatches(plan), directory=folder,
        on_step=lambda numbers: losses.append(numbers["loss"]),
    )  # fmt: skip
    return losses


def test_a_step_that_overflows_changes_nothing_and_the_next_ones_do(tmp_path: Path) -> None:
    network, weights = Steep(), []
    network.last.register_forward_pre_hook(
        lambda *_: weights.append(network.first.weight.detach().clone())
    )
    plan = replace(PLAN, steps=24, learning_rate=1e-5)
    trained(network, plan, tmp_path / "a")
    moves = [not torch.equal(a, b) for a, b in itertools.pairwise(weights)]
    assert not moves[0]
    assert moves[-1]
    assert all(weight.isfinite().all() for weight in weights)


def test_gradients_that_no_scale_helps_end_training(tmp_path: Path) -> None:
    class Endless(Faint):
        def forward(self, images_BCHW: Tensor) -> Tensor:
            return super().forward(images_BCHW) * torch.inf

    with pytest.raises(DivergedError, match="diverged in step 1[56]"):
        trained(Endless(), replace(PLAN, steps=40), tmp_path / "a")


def test_a_training_continues_in_another_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SHARE", 1e12)
    images = small_images()
    for first, second in ((FP16, "fp32"), ("fp32", FP16)):
        folder = tmp_path / first
        folder.mkdir()
        for precision, steps in ((first, 2), (second, 3)):
            plan = replace(PLAN, precision=precision, steps=steps, checkpoint_s=0.0)
            kept = train(Faint(), images, plan, AloneBatches(plan), directory=folder)
            assert kept == {}


def test_what_a_checkpoint_lacks_begins_anew() -> None:
    kept = {"other": np.zeros(1), SCALE: np.array(8.0, np.float32)}
    assert set(continued_scale(kept, {"other": np.zeros(1)})) == {"other"}
    found = continued_scale({"other": np.zeros(1)}, initial_scale(FP16))
    assert float(found[SCALE]) == FIRST


def test_supernets_are_trained_in_fp16(tmp_path: Path) -> None:
    """The processor computes in fp16, too, if slowly."""
    method = example("sortednet")
    plan = replace(CONTINUED, precision=FP16, steps=3)
    supernet = Supernet(method.space)
    before = {name: p.detach().clone() for name, p in supernet.named_parameters()}
    losses: list[float] = []
    train(
        supernet, small_images(), plan, SupernetBatches(plan, method), directory=tmp_path,
        on_step=lambda numbers: losses.append(numbers["loss"]),
    )  # fmt: skip
    assert np.isfinite(losses).all()
    assert any(not torch.equal(p, before[name]) for name, p in supernet.named_parameters())


def test_images_of_a_batch_may_ask_their_gradient() -> None:
    images: Images = small_images(is_augmented=False)
    method = example("adversarial")
    plan = replace(PLAN, precision="fp32")
    batches = SupernetBatches(plan, method)
    supernet = Supernet(method.space).train()
    state = {**method.initial_state(), **initial_scale(FP16)}
    context = batches.context(supernet, images, 0, state)
    seen = context.images_BCHW.requires_grad_()
    encoding = [0] * len(method.space.choices)
    context.logits(encoding, seen).sum().backward()
    assert seen.grad is not None
    plain = context.images_BCHW.detach().clone().requires_grad_()
    supernet(plain, method.space.slots(encoding)).sum().backward()
    assert plain.grad is not None
    torch.testing.assert_close(seen.grad, plain.grad)
