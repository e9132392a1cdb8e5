"""What a sandwich batch costs: against the same networks alone, and against plain fp32 NCHW.

    python benchmarks/training.py

Interleaved rounds in one process; medians of ratios. The hybrid space at 32 px, batch 64, without
the optimizer; bf16 only where the processor multiplies it.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from nas.data import load_data
from nas.prepare.plan import training_images
from nas.system.environment import has_bf16_products
from search_spaces import load_space
from supernets.device import autocast
from supernets.methods.sandwich import Sandwich
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from supernets.tasks._base import losses_of

BATCH_SIZE = 64


def main() -> None:
    """Print images per second and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    images = training_images(load_data("digit-pairs"))
    space = load_space("hybrid", resolution=32, channels=1, num_classes=100)
    space = space.with_policy(("fp32", "int8"), (0.0, 0.25, 0.5))
    method = Sandwich(space=space)
    plain = TrainPlan(steps=100, batch_size=BATCH_SIZE, precision="fp32", channels_last=False)
    precisions = ("fp32", "bf16") if has_bf16_products() else ("fp32",)
    for precision, channels_last in itertools.product(precisions, (False, True)):
        plan = replace(plain, precision=precision, channels_last=channels_last)
        fast, base = make(space, channels_last), make(space, False)
        ratios, seconds = [], []
        for turn in range(rounds + 1):
            a = timed(SupernetBatches(plan, method), fast, images, turn, {})
            b = timed(SupernetBatches(plain, method), base, images, turn, {})
            if turn:
                ratios.append(b / a)
                seconds.append(a)
        rate = BATCH_SIZE / statistics.median(seconds)
        print(
            f"{precision} {'channels_last' if channels_last else 'NCHW':13} {rate:6.0f} images/s, "
            f"{statistics.median(ratios):.2f}x of plain fp32 NCHW"
        )
        static_ratio(space, images, plan, method, rounds)


def static_ratio(space, images, plan, method, rounds: int) -> None:
    """The sandwich batch against the sum of the same four networks as plain modules."""
    supernet = make(space, plan.channels_last)
    ratios = []
    for turn in range(rounds + 1):
        lessons = method.plan(turn, np.random.default_rng([plan.seed, 3, turn]))
        networks = [supernet.extract(space.slots(lesson.encoding)).train() for lesson in lessons]
        if plan.channels_last:
            networks = [n.to(memory_format=torch.channels_last) for n in networks]
        alone = timed(train_alone, networks, images, turn, plan)
        shared = timed(SupernetBatches(plan, method), supernet, images, turn, {})
        supernet.zero_grad(set_to_none=True)
        if turn:
            ratios.append(shared / alone)
    print(f"  sandwich batch / sum of the same static networks: {statistics.median(ratios):.3f}")


def train_alone(networks, images, turn: int, plan) -> None:
    """The same losses and gradients on plain networks."""
    images_BCHW, labels = images.batch(turn, plan.batch_size, plan.seed)
    if plan.channels_last:
        images_BCHW = images_BCHW.contiguous(memory_format=torch.channels_last)
    teacher, losses = None, losses_of(images.task)
    for network in networks:
        with autocast(plan.device, plan.precision):
            logits = network(images_BCHW)
        loss = losses.label_loss(logits, labels, smoothing=plan.label_smoothing)
        if teacher is None:
            teacher = logits.detach()
        else:
            loss = torch.lerp(loss, losses.distillation_loss(logits, teacher), 0.5)
        loss.backward()
        float(loss.detach())


def make(space, channels_last: bool) -> Supernet:
    """A supernet in training mode."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return Supernet(space).to(memory_format=layout).train()


def timed(call: Callable[..., object], *arguments: object) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
