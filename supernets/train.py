"""Training a supernet, or one network alone, exactly resumable.

A step is a pure function of its number: data order, augmentation and the members it trains are
drawn from generators seeded by (seed, step) (`supernets.images`, `supernets.steps`). A checkpoint
therefore needs weights, optimizer and the step number only, and a resumed run ends bit-identical to
one that was never interrupted (same versions, same number of threads).
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from search_spaces import UserError
from supernets.checkpoint import read_tensors, same_shapes, write_tensors
from supernets.images import Images

CHECKPOINT_FILE = "state.safetensors"
CHECKPOINT_SHARE = 0.05
"""At most this share of the time goes into writing checkpoints."""


@dataclass(frozen=True, kw_only=True)
class TrainPlan:
    """How long and how to train.

    Attributes:
        steps: Optimizer steps.
        full_from: First step with members of any depth; cheap shallow ones before it.
        batch_size: Images per step; every member of a step sees the same ones.
        learning_rate: Peak, after a linear warm-up and before a cosine decay to zero.
        warmup: Share of steps in the warm-up.
        weight_decay: Of matrices and kernels only.
        label_smoothing: Of the loss on labels.
        clip_norm: Largest norm of a step's gradient.
        ema_decay: Of the averaged weights that training returns.
        rank_at: Share of the full steps after which channels are ranked and sparsity is sampled.
        shallow_progress: Share of the learning-rate schedule that the shallow steps pass through.
        precision: "fp32" or "bf16" (autocast).
        channels_last: Whether activations are stored so.
        checkpoint_s: Seconds between checkpoints, at least.
        seed: Of everything random.
    """

    steps: int
    full_from: int = 0
    batch_size: int = 64
    learning_rate: float = 4e-3
    warmup: float = 0.05
    weight_decay: float = 0.02
    label_smoothing: float = 0.1
    clip_norm: float = 1.0
    ema_decay: float = 0.99
    rank_at: float = 0.4
    shallow_progress: float = 0.25
    precision: str = "fp32"
    channels_last: bool = False
    checkpoint_s: float = 20.0
    seed: int = 0

    @property
    def rank_step(self) -> int:
        """First step whose members may be pruned."""
        return self.full_from + int((self.steps - self.full_from) * self.rank_at)


class DivergedError(UserError):
    """The loss has stopped being a finite number."""


class Progress(dict[str, float]):
    """Numbers of one step: step, loss, loss_largest, loss_smallest, images_per_s, learning_rate."""


class Step(Protocol):
    """Adds the gradients of one batch to the network that is trained."""

    def __call__(self, batch: tuple[Tensor, Tensor], step: int) -> list[float]:
        """The losses; of a supernet's members the largest's first, then the smallest's."""


def train(
    network: nn.Module,
    images: Images,
    plan: TrainPlan,
    add_gradients: Step,
    *,
    directory: Path,
    on_step: Callable[[Progress], None] = lambda numbers: None,
) -> None:
    """Train a network in place; it ends with averaged weights after `plan.steps` steps.

    Continues from the checkpoint in `directory` if there is one.

    Args:
        network: Fresh, or to be trained further; ends in evaluation mode.
        images: At least `plan.batch_size` of them.
        plan: The same one when resuming.
        add_gradients: What each step trains.
        directory: Where checkpoints go; must exist.
        on_step: Called after every step.

    Raises:
        DivergedError: If the loss stops being a finite number.
        UserError: If the checkpoint does not fit.
    """
    if plan.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.train()
    state = TrainState(network, plan)
    path = directory / CHECKPOINT_FILE
    if path.exists():
        state.load(path)
    saved_at, write_s = time.monotonic(), 0.0
    for step in range(state.step, plan.steps):
        started = time.monotonic()
        numbers = _train_step(state, images, plan, add_gradients, step)
        numbers["images_per_s"] = plan.batch_size / (time.monotonic() - started)
        on_step(numbers)
        interval = max(plan.checkpoint_s, write_s / CHECKPOINT_SHARE)
        if time.monotonic() - saved_at > interval or step + 1 == plan.steps:
            write_started = time.monotonic()
            state.save(path)
            saved_at = time.monotonic()
            write_s = saved_at - write_started
    state.apply_average()
    network.eval()


def seconds_per_step(
    network: nn.Module, images: Images, plan: TrainPlan, add_gradients: Step, *, steps: int
) -> float:
    """The mean of a few steps after one warm-up; nothing is learnt, but batch norm sees images."""
    layout = torch.channels_last if plan.channels_last else torch.contiguous_format
    network.to(memory_format=layout).train()  # type: ignore[call-overload]
    started = 0.0
    for step in range(steps + 1):
        if step == 1:
            started = time.perf_counter()
        add_gradients(images.batch(step, plan.batch_size, plan.seed), step)
        network.zero_grad(set_to_none=True)
    return (time.perf_counter() - started) / steps


class TrainState:
    """What a checkpoint holds: weights, their average, optimizer moments, the next step."""

    def __init__(self, network: nn.Module, plan: TrainPlan) -> None:
        self.network = network
        self.names, self.parameters = zip(*network.named_parameters(), strict=True)
        self.average = [parameter.detach().clone() for parameter in self.parameters]
        self.optimizer = optimizer(network, plan)
        self.step = 0
        self._ema_decay = plan.ema_decay

    def update_average(self) -> None:
        """Moves the averaged weights towards the current ones; early averages forget faster."""
        decay = min(self._ema_decay, (1 + self.step) / (10 + self.step))
        current = [parameter.detach() for parameter in self.parameters]
        torch._foreach_lerp_(self.average, current, 1 - decay)

    @torch.no_grad()
    def apply_average(self) -> None:
        """Gives the network the averaged weights."""
        for parameter, average in zip(self.parameters, self.average, strict=True):
            parameter.copy_(average)

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        tensors = {f"model.{n}": t for n, t in self.network.state_dict().items()}
        tensors |= {f"average.{n}": t for n, t in zip(self.names, self.average, strict=True)}
        steps = {}
        for name, parameter in zip(self.names, self.parameters, strict=True):
            moments = self.optimizer.state.get(parameter)
            if moments:
                tensors[f"first.{name}"] = moments["exp_avg"]
                tensors[f"second.{name}"] = moments["exp_avg_sq"]
                steps[name] = float(moments["step"])
        write_tensors(path, tensors, {"step": self.step, "optimizer_steps": steps})

    def load(self, path: Path) -> None:
        """Continue from a checkpoint.

        Raises:
            UserError: If it belongs to another network.
        """
        tensors, document = read_tensors(path)
        model = _under("model.", tensors)
        if not same_shapes(model, self.network):
            raise UserError(
                f"checkpoint '{path}' belongs to another network. "
                "Delete it to train from the start, or use the space it was trained with."
            )
        self.network.load_state_dict(model)
        average = _under("average.", tensors)
        first, second = _under("first.", tensors), _under("second.", tensors)
        for i, (name, parameter) in enumerate(zip(self.names, self.parameters, strict=True)):
            self.average[i].copy_(average[name])
            if name in first:
                self.optimizer.state[parameter] = {
                    "step": torch.tensor(document["optimizer_steps"][name]),
                    "exp_avg": torch.empty_like(parameter).copy_(first[name]),
                    "exp_avg_sq": torch.empty_like(parameter).copy_(second[name]),
                }
        self.step = document["step"]


def optimizer(network: nn.Module, plan: TrainPlan) -> torch.optim.AdamW:
    """AdamW; biases, norms and tables are not decayed."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": plan.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=plan.learning_rate, fused=True)


def learning_rate(step: int, plan: TrainPlan) -> float:
    """Linear warm-up, then cosine to zero over the schedule's progress."""
    done = progress(step, plan)
    if done < plan.warmup:
        return plan.learning_rate * min(1.0, progress(step + 1, plan) / plan.warmup)
    share = (done - plan.warmup) / (1.0 - plan.warmup)
    return plan.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


def progress(step: int, plan: TrainPlan) -> float:
    """How far training is before `step`, 0 to 1, roughly in time: shallow steps are cheap."""
    if step < plan.full_from:
        return plan.shallow_progress * step / plan.full_from
    start = plan.shallow_progress if plan.full_from else 0.0
    return start + (1 - start) * (step - plan.full_from) / max(1, plan.steps - plan.full_from)


def _train_step(
    state: TrainState, images: Images, plan: TrainPlan, add_gradients: Step, step: int
) -> Progress:
    rate = learning_rate(step, plan)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.zero_grad(set_to_none=True)
    batch = images.batch(step, plan.batch_size, plan.seed)
    losses = add_gradients(batch, step)
    norm = torch.nn.utils.clip_grad_norm_(state.parameters, plan.clip_norm)
    if not (all(map(math.isfinite, losses)) and math.isfinite(norm)):
        raise DivergedError(
            f"training diverged in step {step}: losses {losses}, gradient norm {float(norm):g}. "
            f"Try a lower rate: --set learning_rate={plan.learning_rate / 3:.1g}"
        )
    state.optimizer.step()
    state.step = step + 1
    state.update_average()
    return Progress(
        step=step + 1,
        loss=sum(losses) / len(losses),
        loss_largest=losses[0],
        loss_smallest=losses[1] if len(losses) > 1 else losses[0],
        learning_rate=rate,
    )


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in _items(prefix, tensors)}


def _items(prefix: str, tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    return ((n, t) for n, t in tensors.items() if n.startswith(prefix))
