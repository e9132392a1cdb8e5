"""What every optimizer keeps to: it learns, steps every weight once, and continues from a file."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supernets.context import autocast
from supernets.optimizers._base import OPTIMIZERS, SCALE
from supernets.train import TrainPlan, TrainState, learning_rate
from tests.strategies import noise, randomise_

pytestmark = pytest.mark.parametrize("name", OPTIMIZERS.names())

STEPS = 3


class Small(nn.Module):
    """Every kind of weight that operators have."""

    def __init__(self) -> None:
        super().__init__()
        self.full = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.gate = nn.Conv1d(1, 1, 3, padding=1, bias=False)
        self.layer_norm = nn.LayerNorm(6)
        self.table = nn.Parameter(torch.zeros(6))
        self.head = nn.Linear(6, 4)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = self.depthwise(self.norm(self.full(x_BCHW)).relu())
        means_BC = self.gate(x_BCHW.mean((2, 3))[:, None])[:, 0]
        return self.head(self.layer_norm(means_BC) + self.table)


def small(*, channels_last: bool = False) -> Small:
    network = Small()
    randomise_(network, seed=1)
    return network.to(memory_format=torch.channels_last if channels_last else torch.preserve_format)


def lesson(network: nn.Module, step: int = 0, precision: str = "fp32") -> float:
    """The squared error on a few images, and its gradient."""
    network.zero_grad(set_to_none=True)
    with autocast(precision):
        answers = network(noise(8, 2, 5, 5, seed=step))
    loss = F.mse_loss(answers.float(), noise(8, 4, seed=100 + step))
    loss.backward()
    return loss.item()


def plan_of(name: str, **changes: float) -> TrainPlan:
    return TrainPlan(steps=6, optimizer=name, **changes)


def test_a_step_lowers_the_loss(name: str) -> None:
    network = small()
    plan = plan_of(name)
    state = TrainState(network, plan)
    before = lesson(network)
    state.advance(0.1 * plan.peak_rate)
    assert lesson(network) < before


def test_steps_at_its_own_rate_solve_least_squares(name: str) -> None:
    network = nn.Linear(6, 4)
    randomise_(network, seed=1)
    plan = TrainPlan(steps=60, optimizer=name, weight_decay=0.0)
    state = TrainState(network, plan)
    x = noise(32, 6)
    with torch.no_grad():
        target = network(x) + 0.1 * x @ noise(6, 4, seed=1)
    losses = []
    for step in range(plan.steps):
        network.zero_grad(set_to_none=True)
        loss = F.mse_loss(network(x), target)
        loss.backward()
        losses.append(loss.item())
        state.advance(learning_rate(step, plan))
    assert losses[-1] < 0.5 * losses[0]


def test_every_parameter_is_stepped_exactly_once(name: str) -> None:
    network = small()
    optimizers = OPTIMIZERS.get(name)().build(network, weight_decay=0.1)
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    counts = Counter(id(parameter) for group in groups for parameter in group["params"])
    assert counts == Counter(id(parameter) for parameter in network.parameters())
    assert all(group[SCALE] > 0 for group in groups)
    before = [parameter.clone() for parameter in network.parameters()]
    state = TrainState(network, plan_of(name))
    lesson(network)
    state.advance(0.01)
    for (n, after), old in zip(network.named_parameters(), before, strict=True):
        assert not torch.equal(after, old), n
        assert torch.isfinite(after).all(), n


def test_a_network_of_one_kind_of_weights_is_stepped_too(name: str) -> None:
    for network, x in ((nn.Linear(3, 3, bias=False), noise(4, 3)), (nn.LayerNorm(3), noise(4, 3))):
        randomise_(network, seed=1)
        before = next(network.parameters()).clone()
        state = TrainState(network, plan_of(name))
        network(x).square().mean().backward()
        state.advance(0.01)
        assert not torch.equal(next(network.parameters()), before)


def test_what_has_no_gradient_stays_as_it_is(name: str) -> None:
    network = small()
    state = TrainState(network, plan_of(name))
    lesson(network)
    state.advance(0.01)
    before = {n: parameter.clone() for n, parameter in network.named_parameters()}
    lesson(network)
    for parameter in (network.full.weight, network.depthwise.weight, network.norm.bias):
        parameter.grad = None
    state.advance(0.01)
    same = {n for n, parameter in network.named_parameters() if torch.equal(parameter, before[n])}
    assert same == {"full.weight", "depthwise.weight", "norm.bias"}


def test_matrices_and_kernels_decay_and_norms_and_biases_do_not(name: str) -> None:
    """The same step with and without decay: they differ by a share of what the weights were."""
    before = dict(small().named_parameters())
    ends = []
    for weight_decay in (0.0, 0.5):
        network = small()
        state = TrainState(network, plan_of(name, weight_decay=weight_decay))
        lesson(network)
        state.advance(0.1)
        ends.append(dict(network.named_parameters()))
    for n, old in before.items():
        lost = (ends[0][n] - ends[1][n]).detach()
        if old.ndim <= 1:
            assert torch.equal(lost, torch.zeros_like(lost)), n
        else:
            share = lost.norm() / old.norm()
            assert 0 < share < 0.2, n
            torch.testing.assert_close(lost, share * old, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("channels_last", [False, True])
def test_it_continues_from_a_checkpoint_to_the_very_same_weights(
    name: str, channels_last: bool, tmp_path: Path
) -> None:
    plan = plan_of(name)
    ends = []
    for is_interrupted in (False, True):
        network = small(channels_last=channels_last)
        state = TrainState(network, plan)
        for step in range(2 * STEPS):
            if is_interrupted and step == STEPS:
                state.save(tmp_path / "state.safetensors")
                network = Small()
                if channels_last:
                    network = network.to(memory_format=torch.channels_last)
                state = TrainState(network, plan)
                state.load(tmp_path / "state.safetensors")
                assert state.step == STEPS
            lesson(network, step)
            state.advance(learning_rate(step, plan))
        ends.append([*network.state_dict().values(), *state.average])
    for first, second in zip(*ends, strict=True):
        assert torch.equal(first, second)


def test_its_own_rate_is_used_unless_a_plan_says_another(name: str) -> None:
    own = OPTIMIZERS.get(name).learning_rate
    assert own > 0
    assert plan_of(name).peak_rate == own
    assert plan_of(name, learning_rate=0.3).peak_rate == 0.3
