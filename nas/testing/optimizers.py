"""What every optimizer keeps to: it learns, steps every weight once, and continues from a file."""

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.testing._expect import require
from nas.testing._tensors import noise, randomise_
from supernets.device import CPU, autocast
from supernets.optimizers._base import OPTIMIZERS, SCALE
from supernets.plan import TrainPlan
from supernets.state import TrainState
from supernets.train import fresh_state, learning_rate

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
        """(B, 4)."""
        x_BCHW = self.depthwise(self.norm(self.full(x_BCHW)).relu())
        means_BC = self.gate(x_BCHW.mean((2, 3))[:, None])[:, 0]
        answers: Tensor = self.head(self.layer_norm(means_BC) + self.table)
        return answers


def check_a_step_lowers_the_loss(name: str) -> None:
    """A step at a tenth of its rate lowers the loss."""
    network, plan = _small(), _plan(name)
    state = fresh_state(network, plan)
    before = _lesson(network)
    state.advance(0.1 * plan.peak_rate)
    after = _lesson(network)
    require(after < before, f"the loss was {before:.4g} and is {after:.4g}")


def check_steps_at_its_own_rate_solve_least_squares(name: str) -> None:
    """60 steps at its own rate halve the loss of a linear layer."""
    network = nn.Linear(6, 4)
    randomise_(network, seed=1)
    plan = TrainPlan(steps=60, optimizer=name, weight_decay=0.0)
    state = fresh_state(network, plan)
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
    require(losses[-1] < 0.5 * losses[0], f"the loss was {losses[0]:.4g} and is {losses[-1]:.4g}")


def check_every_parameter_is_stepped_exactly_once(name: str) -> None:
    """Every parameter is in one group, and a step changes it."""
    network = _small()
    optimizers = OPTIMIZERS.get(name)().build(network, weight_decay=0.1)
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    counts = Counter(id(parameter) for group in groups for parameter in group["params"])
    wrong = [n for n, p in network.named_parameters() if counts[id(p)] != 1]
    require(not wrong, f"{', '.join(wrong)}: not in exactly one parameter group")
    require(
        all(group.get(SCALE, 0) > 0 for group in groups),
        f"a parameter group has no '{SCALE}' above 0: make groups with `group`",
    )
    before = [parameter.clone() for parameter in network.parameters()]
    state = fresh_state(network, _plan(name))
    _lesson(network)
    state.advance(0.01)
    for (n, after), old in zip(network.named_parameters(), before, strict=True):
        require(not torch.equal(after, old), f"{n} is not changed by a step")
        require(torch.isfinite(after).all(), f"{n} is not finite after a step")


def check_a_network_of_one_kind_of_weights_is_stepped_too(name: str) -> None:
    """A network of matrices alone, or of vectors alone, is stepped, too."""
    for network in (nn.Linear(3, 3, bias=False), nn.LayerNorm(3)):
        randomise_(network, seed=1)
        before = next(network.parameters()).clone()
        state = fresh_state(network, _plan(name))
        network(noise(4, 3)).square().mean().backward()
        state.advance(0.01)
        is_stepped = not torch.equal(next(network.parameters()), before)
        require(is_stepped, f"the weights of {network} are not changed by a step")


def check_what_has_no_gradient_stays_as_it_is(name: str) -> None:
    """What has no gradient stays as it is."""
    network = _small()
    state = fresh_state(network, _plan(name))
    _lesson(network)
    state.advance(0.01)
    before = {n: parameter.clone() for n, parameter in network.named_parameters()}
    _lesson(network)
    for parameter in (network.full.weight, network.depthwise.weight, network.norm.bias):
        parameter.grad = None
    state.advance(0.01)
    same = {n for n, parameter in network.named_parameters() if torch.equal(parameter, before[n])}
    wanted = {"full.weight", "depthwise.weight", "norm.bias"}
    require(same == wanted, f"{sorted(wanted)} have no gradient, {sorted(same)} stay as they are")


def check_matrices_and_kernels_decay_and_norms_and_biases_do_not(name: str) -> None:
    """Matrices and kernels lose a share of what they were by decay, vectors nothing."""
    before = dict(_small().named_parameters())
    ends = []
    for weight_decay in (0.0, 0.5):
        network = _small()
        state = fresh_state(network, _plan(name, weight_decay=weight_decay))
        _lesson(network)
        state.advance(0.1)
        ends.append(dict(network.named_parameters()))
    for n, old in before.items():
        lost = (ends[0][n] - ends[1][n]).detach()
        if old.ndim <= 1:
            require(not lost.any(), f"{n} decays, and is a vector")
            continue
        share = float(lost.norm() / old.detach().norm())
        require(0 < share < 0.2, f"{n} loses {share:.3g} of its norm by decay")
        is_share = torch.allclose(lost, share * old.detach(), atol=1e-5, rtol=1e-3)
        require(is_share, f"{n} loses by decay what is no share of it")


def check_it_continues_from_a_checkpoint_to_the_very_same_weights(name: str) -> None:
    """It continues from a checkpoint to the very same weights."""
    plan = _plan(name)
    for channels_last in (False, True):
        ends = []
        for is_interrupted in (False, True):
            network = _small(channels_last=channels_last)
            state = fresh_state(network, plan)
            for step in range(2 * STEPS):
                if is_interrupted and step == STEPS:
                    network, state = _continued(state, plan, channels_last=channels_last)
                _lesson(network, step)
                state.advance(learning_rate(step, plan))
            ends.append([*network.state_dict().values(), *state.average])
        is_same = all(torch.equal(first, second) for first, second in zip(*ends, strict=True))
        require(
            is_same, "weights differ after a checkpoint: all state must be tensors per parameter"
        )


def check_its_own_rate_is_used_unless_a_plan_says_another(name: str) -> None:
    """Its own rate is used, unless a plan says another."""
    own = OPTIMIZERS.get(name).learning_rate
    require(own > 0, f"learning_rate is {own}")
    require(_plan(name).peak_rate == own, f"a plan without a rate has {_plan(name).peak_rate}")
    require(_plan(name, learning_rate=0.3).peak_rate == 0.3, "a plan's rate is not used")


CHECKS: tuple[Callable[[str], None], ...] = (
    check_a_step_lowers_the_loss,
    check_steps_at_its_own_rate_solve_least_squares,
    check_every_parameter_is_stepped_exactly_once,
    check_a_network_of_one_kind_of_weights_is_stepped_too,
    check_what_has_no_gradient_stays_as_it_is,
    check_matrices_and_kernels_decay_and_norms_and_biases_do_not,
    check_it_continues_from_a_checkpoint_to_the_very_same_weights,
    check_its_own_rate_is_used_unless_a_plan_says_another,
)


def _small(*, channels_last: bool = False) -> Small:
    network = Small()
    randomise_(network, seed=1)
    return _laid_out(network, channels_last=channels_last)


def _laid_out(network: Small, *, channels_last: bool) -> Small:
    layout = torch.channels_last if channels_last else torch.preserve_format
    network.to(memory_format=layout)  # type: ignore[call-overload]  # torch does not declare it
    return network


def _lesson(network: nn.Module, step: int = 0) -> float:
    """The squared error on a few images, and its gradient."""
    network.zero_grad(set_to_none=True)
    with autocast(CPU, "fp32"):
        answers = network(noise(8, 2, 5, 5, seed=step))
    loss = F.mse_loss(answers.float(), noise(8, 4, seed=100 + step))
    loss.backward()
    return loss.item()


def _plan(name: str, **changes: float) -> TrainPlan:
    return TrainPlan(steps=6, optimizer=name, **changes)  # type: ignore[arg-type]


def _continued(
    state: TrainState, plan: TrainPlan, *, channels_last: bool
) -> tuple[Small, TrainState]:
    """A network with fresh weights, and the state of training from a file."""
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        file = Path(folder, "state.safetensors")
        state.save(file)
        network = _laid_out(Small(), channels_last=channels_last)
        state = fresh_state(network, plan)
        state.load(file)
    require(state.step == STEPS, f"after {STEPS} steps a checkpoint says {state.step}")
    return network, state
