"""Quantization-aware training: what is trained is what is exported."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compress.apply import Learnt, compress
from compress.aware import aware, grids_of
from compress.quantize._learnt import LearntLayer, LearntQuantizer, Rounded
from compress.quantize._weights import REDUCED_WEIGHT_MAX
from compress.store import load_network, save_network
from nas.testing._exported import answers, export
from nas.testing._learnt import require_learnt_alike
from search_spaces import SearchSpace, Slot
from supernets.calibrate import recalibrated
from supernets.network import PlainNetwork
from supernets.supernet import Supernet
from tests.strategies import noise, slots_of

OPERATORS = ("basic", "mbconv", "convnext", "unireplk", "window")
RATE, STEPS = 0.003, 3


def calibrated(supernet: Supernet, slots: Sequence[Slot]) -> tuple[PlainNetwork, list[Tensor]]:
    calibration = [noise(32, 1, 16, 16)]
    network = supernet.extract(slots)
    recalibrated(network, calibration)
    return network, calibration


def learn(network: nn.Module) -> None:
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    network.train()
    for step in range(STEPS):
        logits_BK = network(noise(16, 1, 16, 16, seed=step))
        labels_B = torch.arange(16) % logits_BK.shape[1]
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits_BK, labels_B).backward()
        optimizer.step()
    network.eval()


def int8(space: SearchSpace, operator: str) -> tuple[Slot, ...]:
    return slots_of(space, operator=operator, precision="int8")


@torch.no_grad()
def apart(a_BK: Tensor, b_BK: Tensor) -> float:
    """Root mean square of the difference, in the deviation of what is expected."""
    return float((a_BK - b_BK).square().mean().sqrt() / b_BK.std())


@pytest.mark.parametrize("operator", OPERATORS)
def test_module_file_and_checkpoint_answer_as_what_was_trained(
    random_supernet_of_all: Supernet, mini_of_all: SearchSpace, operator: str, tmp_path: Path
) -> None:
    slots = int8(mini_of_all, operator)
    network, calibration = calibrated(random_supernet_of_all, slots)
    trained = aware(network, slots, calibration, needs_reduced_range=True)
    before = {name: tensor.clone() for name, tensor in grids_of(trained).items()}
    learn(trained)
    grids = grids_of(trained)
    steps = [name for name in grids if name.endswith(("scale", "largest_weight"))]
    assert any(not torch.equal(grids[name], before[name]) for name in steps)
    deployed = compress(
        network, slots, calibration, needs_reduced_range=True, learnt=Learnt(grids)
    ).network
    state = deployed.state_dict()
    for name, tensor in grids.items():
        scale = state.get(f"{name.removesuffix('largest_weight')}weight_scale")
        own = state[name] if scale is None else scale * REDUCED_WEIGHT_MAX
        torch.testing.assert_close(own, tensor, msg=name)
    images = noise(32, 1, 16, 16, seed=5)
    require_learnt_alike(trained, deployed, images)
    elsewhere = compress(network, slots, calibration, learnt=Learnt(grids)).network
    with torch.no_grad():
        expected = deployed(images)
        assert apart(elsewhere(images), expected) < 0.15, "of a processor with larger integers"
    shipped = answers(export(deployed, mini_of_all, tmp_path / "a.onnx"), images)
    assert apart(torch.from_numpy(shipped), expected) < 0.15
    save_network(deployed, slots, tmp_path / "a.safetensors")
    loaded = load_network(tmp_path / "a.safetensors")
    with torch.no_grad():
        assert np.array_equal(loaded(images).numpy(), expected.numpy())


@pytest.mark.parametrize("operator", OPERATORS)
def test_all_weights_of_the_network_are_trained_and_statistics_stay(
    random_supernet_of_all: Supernet, mini_of_all: SearchSpace, operator: str
) -> None:
    slots = int8(mini_of_all, operator)
    network, calibration = calibrated(random_supernet_of_all, slots)
    own = dict(network.named_parameters())
    statistics = {n: b.clone() for n, b in network.named_buffers() if "running" in n}
    found = aware(network, slots, calibration)
    trained = {id(parameter) for parameter in found.parameters()}
    assert {name for name, parameter in own.items() if id(parameter) not in trained} == set()
    learn(found)
    assert {n for n, p in own.items() if p.grad is None} == set()
    assert all(torch.equal(network.get_buffer(n), b) for n, b in statistics.items())


def test_layers_of_other_formats_are_trained_as_they_are(
    random_supernet_of_all: Supernet, mini_of_all: SearchSpace
) -> None:
    slots = list(int8(mini_of_all, "mbconv"))
    changed = [s for s in slots if s.name.startswith("stage1")]
    full = {s.name: s for s in slots_of(mini_of_all, operator="mbconv", precision="fp32")}
    mixed = [full[s.name] if s in changed else s for s in slots]
    network, calibration = calibrated(random_supernet_of_all, mixed)
    found = aware(network, mixed, calibration)
    kinds = [type(m) for m in found.modules()]
    assert kinds.count(LearntLayer) > 0
    learnt = {n.partition(".")[0] for n, m in found.named_modules() if isinstance(m, LearntLayer)}
    assert not {s.name.replace(".", "_") for s in changed} & learnt
    plain = slots_of(mini_of_all, operator="mbconv", precision="fp32")
    assert not grids_of(aware(random_supernet_of_all.extract(plain), plain, calibration))


def test_gradients_are_those_of_the_paper() -> None:
    """Equation 3: round(v / s) - v / s inside, the ends outside; of v, 1 inside and 0 outside."""
    x = torch.tensor([-9.0, -0.6, 0.4, 1.3, 9.0], requires_grad=True)
    step = torch.tensor(0.5, requires_grad=True)
    out = Rounded.apply(x, step, -2, 4, 0.25)
    assert out.tolist() == [-1.0, -0.5, 0.5, 1.5, 2.0]
    out.backward(torch.tensor([1.0, 10.0, 100.0, 1000.0, 10_000.0]))
    assert x.grad is not None
    assert step.grad is not None
    assert x.grad.tolist() == [0.0, 10.0, 100.0, 1000.0, 0.0]
    by_value = [-2.0, 10 * (-1 + 1.2), 100 * (1 - 0.8), 1000 * (3 - 2.6), 40_000.0]
    assert float(step.grad) == pytest.approx(0.25 * math.fsum(by_value))


def test_a_step_that_is_far_too_large_learns_to_be_smaller() -> None:
    x = noise(4000)
    quantizer = LearntQuantizer(torch.tensor(0.5), torch.tensor(8, dtype=torch.uint8), 15)
    optimizer = torch.optim.Adam(quantizer.parameters(), 0.02)
    errors = []
    for _ in range(100):
        error = (quantizer(x[None]) - x).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(float(error.detach()))
    step = float(quantizer.grid()["scale"])
    assert errors[-1] < 0.7 * errors[0]
    assert 0.28 < step < 0.42, "of 16 levels the best uniform step for a Gaussian is 0.335 (Max)"
