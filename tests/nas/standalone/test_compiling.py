"""Networks that are trained alone are compiled where that ends their training sooner."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from nas.standalone import compiling
from nas.standalone.compiling import Compiling, decided
from nas.standalone.train import fresh_network, in_words, trained_alone
from nas.testing.methods import small_images, small_space
from supernets import compiled
from supernets.compiled import ALWAYS, IF_IT_PAYS, NEVER, lacking, pass_of
from supernets.network import PlainNetwork
from supernets.plan import TrainPlan

PLAN = TrainPlan(steps=3, batch_size=8, shards=1, checkpoint_s=0.0)


def network() -> PlainNetwork:
    space = small_space()
    return fresh_network(space, space.candidate([0] * len(space.choices)), 0)


@pytest.fixture
def everything_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "TRIED_BY_CPU_FROM_S", 0.0)
    monkeypatch.setattr(compiling, "lacking", lambda device: "")


def test_compiling_counts_against_what_it_saves() -> None:
    found = Compiling(plain_s=1.0, compiled_s=0.5, compile_s=10.0, is_faster=True)
    assert not found.saves(19)
    assert found.saves(21)
    assert found.seconds_per_step(40) == 0.75
    assert not found._replace(is_faster=False).saves(1000)


@pytest.mark.usefixtures("everything_is_tried")
def test_what_saves_time_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Compiling(plain_s=1.0, compiled_s=0.5, compile_s=10.0, is_faster=True)
    monkeypatch.setattr(compiling, "timed", lambda *_: found)
    images = small_images()
    plan, step_s = decided(network(), images, PLAN, steps=40, step_s=1.0)
    assert (plan, step_s) == (replace(PLAN, compile=ALWAYS), 0.75)
    plan, step_s = decided(network(), images, PLAN, steps=10, step_s=1.0)
    assert (plan, step_s) == (replace(PLAN, compile=NEVER), 1.0)
    for asked in (ALWAYS, NEVER):
        own = replace(PLAN, compile=asked)
        assert decided(network(), images, own, steps=40, step_s=1.0) == (own, 1.0)
    monkeypatch.setattr(compiling, "timed", lambda *_: None)
    assert decided(network(), images, PLAN, steps=40, step_s=1.0)[0].compile == NEVER


def test_what_cannot_be_compiled_is_not_said_to_be(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plan, images, hooked = replace(PLAN, compile=ALWAYS), small_images(), network()
    monkeypatch.setattr(compiling, "lacking", lambda device: "")
    hooked.register_forward_pre_hook(lambda *_: None)
    assert decided(hooked, images, plan, steps=40, step_s=1.0)[0].compile == NEVER
    assert "more than its forward pass" in caplog.text
    monkeypatch.setattr(compiling, "lacking", lambda device: "a compiler")
    assert decided(network(), images, plan, steps=40, step_s=1.0)[0].compile == NEVER
    assert "this needs a compiler" in caplog.text


def test_on_processors_it_is_tried_in_long_trainings_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiling, "timed", None)
    steps = compiling.TRIED_BY_CPU_FROM_S - 1
    plan, step_s = decided(network(), small_images(), PLAN, steps=steps, step_s=1.0)
    assert (plan.compile, step_s) == (NEVER, 1.0)


@pytest.mark.usefixtures("everything_is_tried")
@pytest.mark.parametrize("failure", [RuntimeError("no such loop"), torch.OutOfMemoryError("full")])
def test_what_cannot_be_compiled_is_trained_as_it_is(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    """And weights are what they were. Lack of memory is for others to mend."""

    def fails(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(compiling, "lacking", lambda device: "")
    monkeypatch.setattr(compiling, "paces", fails)
    monkeypatch.setattr(compiled, "compiled", lambda network: network)
    trained, images = network(), small_images()
    before = copy.deepcopy(trained.state_dict())
    if isinstance(failure, torch.OutOfMemoryError):
        with pytest.raises(torch.OutOfMemoryError):
            decided(trained, images, PLAN, steps=40, step_s=1.0)
    else:
        assert decided(trained, images, PLAN, steps=40, step_s=1.0)[0].compile == NEVER
    for name, tensor in before.items():
        assert torch.equal(tensor, trained.state_dict()[name])


def test_a_compiled_training_learns_the_same_and_goes_on_without_a_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stands for the compiler: what is compiled is called, in the steps of the training alone."""
    calls: list[int] = []

    def counted(module: nn.Module) -> object:
        def run(images_BCHW: torch.Tensor) -> torch.Tensor:
            calls.append(len(images_BCHW))
            answers: torch.Tensor = module(images_BCHW)
            return answers

        return run

    monkeypatch.setattr(compiled, "lacking", lambda device: "")
    monkeypatch.setattr(compiled, "compiled", counted)
    ends = {}
    for name in (ALWAYS, NEVER, IF_IT_PAYS):
        folder, trained = tmp_path / name, network()
        folder.mkdir()
        plan = replace(PLAN, compile=name)
        assert trained_alone(trained, small_images(), folder, lambda plan=plan: plan) == plan
        ends[name] = trained.state_dict()
        assert pass_of(trained) is trained
    assert calls == [8, 8, 8]
    for name, tensor in ends[ALWAYS].items():
        assert torch.equal(tensor, ends[NEVER][name])
        assert torch.equal(tensor, ends[IF_IT_PAYS][name])
    monkeypatch.setattr(compiled, "lacking", lambda device: "Triton")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    again = network()
    trained_alone(again, small_images(), folder, lambda: replace(PLAN, compile=ALWAYS))
    assert calls == [8, 8, 8]


@pytest.mark.long
@pytest.mark.skipif(bool(lacking("cpu")), reason="needs a C++ compiler")
def test_what_torch_compiles_learns_nearly_the_same(tmp_path: Path) -> None:
    ends = []
    for name in (ALWAYS, NEVER):
        folder, trained = tmp_path / name, network()
        folder.mkdir()
        plan = replace(PLAN, compile=name)
        trained_alone(trained, small_images(), folder, lambda plan=plan: plan)
        ends.append(trained.state_dict())
    for name, tensor in ends[0].items():
        torch.testing.assert_close(tensor, ends[1][name], rtol=1e-3, atol=1e-4)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert lacking("cpu") == "a C++ compiler: 'no-such-compiler' is not found"
    assert lacking("mps") == "torch's compiler for 'mps'"


def test_plans_say_how_steps_are_computed() -> None:
    plan = {"precision": "bf16", "shards": 1}
    assert in_words(plan) == "bf16"
    assert in_words({**plan, "compile": ALWAYS}) == "bf16, compiled"
    assert in_words({**plan, "compile": NEVER, "shards": 4}) == "bf16, batches in 4 parts"
