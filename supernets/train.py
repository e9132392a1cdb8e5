"""Training a supernet, or one network alone, exactly resumable.

A step of the optimizer takes the mean gradient of a few batches, each a pure function of its
number: data order, augmentation and the members it trains are drawn from generators seeded by
(seed, number) (`supernets.images`, `supernets.steps`), and of what is kept from step to step. A
checkpoint therefore needs weights, optimizer, what is kept and the step number only, and a resumed
run ends bit-identical to one that was never interrupted (same versions, same number of threads per
process). How many processes share the batches changes nothing (`supernets.team`).
"""

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from search_spaces import UserError
from supernets.device import at_work, computing
from supernets.images import Images
from supernets.loss_scale import LEAST, beside_scale, has_overflowed, scale_of
from supernets.plan import STEPS, TrainPlan
from supernets.ranks import Training, team_of
from supernets.state import NOTHING, TrainState
from supernets.team import AbstractBatches, Losses, State

CHECKPOINT_FILE = "state.safetensors"
CHECKPOINT_SHARE = 0.05
"""At most this share of the time goes into writing checkpoints."""

FALLS = (0.5, 0.75)
"""Shares of training after which a rate that falls in steps is a tenth of what it was (He et al.,
Deep Residual Learning, 2016, section 4.2)."""


class DivergedError(UserError):
    """The loss has stopped being a finite number."""


class Progress(dict[str, float]):
    """Numbers of a step: step, loss, images_per_s, learning_rate, and of every role its last loss,
    such as loss_largest.
    """


def train(
    network: nn.Module,
    images: Images,
    plan: TrainPlan,
    batches: AbstractBatches,
    *,
    directory: Path,
    on_step: Callable[[Progress], None] = lambda numbers: None,
    before_step: Callable[[int], None] = lambda step: None,
    processes: int = 1,
    threads: int = 0,
) -> State:
    """Train a network in place; it ends with averaged weights after `plan.steps` steps.

    Continues from the checkpoint in `directory` if there is one. Meanwhile the network is on the
    plan's device; it ends on the CPU.

    Args:
        network: Fresh, or to be trained further; ends in evaluation mode.
        images: At least `plan.batch_size` of them.
        plan: The same one when resuming.
        batches: What each batch trains; pickled if there are several processes.
        directory: Where checkpoints go; must exist.
        on_step: Called after every step.
        before_step: Called before every step; may change weights.
        processes: Share the batches of a step; more than `plan.shards` are of no use.
        threads: Of each process; 0 for as many as this one has.

    Returns:
        What batches keep after the last step.

    Raises:
        DivergedError: If the loss stops being a finite number.
        UserError: If the checkpoint does not fit, or a process ends.
    """
    with at_work(plan.device, network, *batches.networks), computing(plan.device, plan.precision):
        return _train(
            *(network, images, plan, batches, directory / CHECKPOINT_FILE),
            on_step=on_step,
            before_step=before_step,
            processes=processes,
            threads=threads,
        )


def _train(
    network: nn.Module,
    images: Images,
    plan: TrainPlan,
    batches: AbstractBatches,
    path: Path,
    *,
    on_step: Callable[[Progress], None],
    before_step: Callable[[int], None],
    processes: int,
    threads: int,
) -> State:
    """`train` where it computes, with its checkpoint in a file."""
    lay_out(network, plan)
    batches = batches.averaging(network)
    state = fresh_state(network, plan, batches.initial_state(), batches.average)
    if path.exists():
        state.load(path)
    saved_at, write_s = time.monotonic(), 0.0
    latest: dict[str, float] = {}
    processes = min(processes, plan.shards)
    threads = threads or torch.get_num_threads()
    training = Training(network, images, batches, plan.device, plan.precision, threads)
    with team_of(training, processes=processes) as team:
        for step in range(state.step, plan.steps):
            started = time.monotonic()
            before_step(step)
            losses, kept = team.add_gradients(turns_of(step, plan), state.kept)
            state.keep(kept)
            rate = advance(state, plan, step, losses)
            latest |= {f"loss_{role}": loss for role, loss in losses}
            seconds = time.monotonic() - started
            on_step(
                Progress(
                    step=step + 1,
                    loss=sum(loss for _, loss in losses) / len(losses),
                    **latest,
                    learning_rate=rate,
                    images_per_s=plan.images_per_step / seconds,
                )
            )
            interval = max(plan.checkpoint_s, write_s / CHECKPOINT_SHARE)
            if time.monotonic() - saved_at > interval or step + 1 == plan.steps:
                write_started = time.monotonic()
                state.save(path)
                saved_at = time.monotonic()
                write_s = saved_at - write_started
    state.apply_average()
    network.eval()
    return beside_scale(state.kept)


def turns_of(step: int, plan: TrainPlan) -> range:
    """Numbers of the batches of a step."""
    return range(step * plan.shards, (step + 1) * plan.shards)


def fresh_state(
    network: nn.Module,
    plan: TrainPlan,
    kept: State = NOTHING,
    averaged: nn.Module | None = None,
) -> TrainState:
    """The state before the first step.

    Args:
        network: To be trained.
        plan: How.
        kept: What batches keep.
        averaged: The network that batches ask for its average, if they do.
    """
    return TrainState(
        network,
        optimizer=plan.optimizer,
        weight_decay=plan.weight_decay,
        ema_decay=plan.ema_decay,
        kept=kept,
        averaged=averaged,
    )


def lay_out(network: nn.Module, plan: TrainPlan) -> None:
    """Puts a network in training mode and in the plan's memory format, in place."""
    layout = torch.channels_last if plan.channels_last else torch.contiguous_format
    network.to(memory_format=layout).train()  # type: ignore[call-overload]


def learning_rate(step: int, plan: TrainPlan) -> float:
    """Linear warm-up, then as the plan's schedule says."""
    done = step / max(1, plan.steps)
    if done < plan.warmup:
        return plan.peak_rate * min(1.0, (step + 1) / plan.steps / plan.warmup)
    if plan.schedule == STEPS:
        return plan.peak_rate * 0.1 ** sum(done >= fall for fall in FALLS)
    share = (done - plan.warmup) / (1.0 - plan.warmup)
    return plan.peak_rate * 0.5 * (1 + math.cos(math.pi * share))


def advance(state: TrainState, plan: TrainPlan, step: int, losses: Losses) -> float:
    """Steps along the gradients that are there, unless they overflowed; the learning rate."""
    rate = learning_rate(step, plan)
    if has_overflowed(state.kept) and scale_of(state.kept) > LEAST:
        state.pass_over()
        return rate
    norm = torch.nn.utils.clip_grad_norm_(state.parameters, plan.clip_norm)
    if not (all(math.isfinite(loss) for _, loss in losses) and math.isfinite(norm)):
        raise DivergedError(
            f"training diverged in step {step}: losses {dict(losses)}, gradient norm "
            f"{float(norm):g}. Try a lower rate: --set learning_rate={plan.peak_rate / 3:.1g}"
        )
    state.advance(rate)
    return rate
